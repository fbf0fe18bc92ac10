"""Actor and critic of two tanh layers each, plain or with an uncertainty per node, and a head per task."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hvcl_repro.baselines.settings import PPOSettings
from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM


class NodeLinear(nn.Module):
    """A linear layer whose weights into one node share a standard deviation.

    Args: rho — of every node at the start; softplus of it is the deviation.
    Source: Ahn et al. 2019 (UCL), section 3.
    """

    def __init__(self, inputs: int, outputs: int, rho: float, rng: torch.Generator) -> None:
        super().__init__()
        self.mu, self.bias = (
            nn.Parameter(orthogonal(outputs, inputs, rng)),
            nn.Parameter(torch.zeros(outputs)),
        )
        self.rho = nn.Parameter(torch.full((outputs, 1), rho))
        self.rng = rng

    @property
    def sigma(self) -> Tensor:
        """Standard deviation of the weights into each node, (outputs, 1)."""
        return functional.softplus(self.rho)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, outputs); with drawn weights while training."""
        weight: Tensor = self.mu
        if self.training:
            weight = weight + self.sigma * torch.randn(self.mu.shape, generator=self.rng)
        return functional.linear(x, weight, self.bias)


class Policy(nn.Module):
    """A Gaussian policy over padded actions and a value, with shared layers and a head of each per task.

    Args: tasks — heads of each kind, one for "single"; rng — of the weights, and of UCL's draws.
    Differs from the original: the value is computed from the critic's own layers, one per row.
    """

    def __init__(self, settings: PPOSettings, tasks: int, rng: torch.Generator) -> None:
        super().__init__()
        h, self.multi = settings.hidden, settings.heads == "multi"

        def linear(inputs: int, outputs: int) -> nn.Module:
            if settings.approach == "ucl":
                return NodeLinear(inputs, outputs, settings.ucl_rho, rng)
            layer = nn.Linear(inputs, outputs)
            with torch.no_grad():
                layer.weight.copy_(orthogonal(outputs, inputs, rng))
                layer.bias.zero_()
            return layer

        heads = tasks if self.multi else 1
        self.actor = nn.ModuleList([linear(OBS_DIM, h), linear(h, h)])
        self.critic = nn.ModuleList([linear(OBS_DIM, h), linear(h, h)])
        self.mean = nn.ModuleList([nn.Linear(h, ACT_DIM) for _ in range(heads)])
        self.value = nn.ModuleList([nn.Linear(h, 1) for _ in range(heads)])
        self.log_std = nn.ParameterList([nn.Parameter(torch.zeros(ACT_DIM)) for _ in range(heads)])
        with torch.no_grad():
            last: list[tuple[Any, float]] = [*((m, 0.01) for m in self.mean), *((v, 1.0) for v in self.value)]
            for head, gain in last:
                head.weight.copy_(gain * orthogonal(head.weight.shape[0], head.weight.shape[1], rng))
                head.bias.zero_()

    def head(self, task: int) -> int:
        """Returns the number of a task's heads."""
        return task if self.multi else 0

    def forward(self, states: Tensor, task: int) -> tuple[Tensor, Tensor, Tensor]:
        """Returns mean (B, 8), log standard deviation (8,), value (B,)."""
        a, c, k = states, states, self.head(task)
        for actor, critic in zip(self.actor, self.critic, strict=True):
            a, c = torch.tanh(actor(a)), torch.tanh(critic(c))
        return self.mean[k](a), self.log_std[k], self.value[k](c)[:, 0]

    def node_layers(self) -> list[list[Any]]:
        """Returns the layers with uncertain nodes, from input to output, actor's and critic's."""
        return [
            [layer for layer in net if isinstance(layer, NodeLinear)] for net in (self.actor, self.critic)
        ]


def log_prob(action: Tensor, mean: Tensor, log_std: Tensor, mask: Tensor) -> Tensor:
    """Returns (B,): Gaussian log density over the unmasked axes."""
    z = (action - mean) * torch.exp(-log_std)
    return (mask * (-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi))).sum(-1)


def entropy(log_std: Tensor, mask: Tensor) -> Tensor:
    """Returns the entropy over the unmasked axes, a scalar."""
    return (mask * (log_std + 0.5 * math.log(2 * math.pi * math.e))).sum()


def orthogonal(rows: int, columns: int, rng: torch.Generator) -> Tensor:
    """Returns a matrix with orthonormal rows or columns, drawn from `rng`."""
    flat = torch.randn(max(rows, columns), min(rows, columns), generator=rng)
    basis, r = torch.linalg.qr(flat)
    q: Tensor = basis * torch.sign(torch.diagonal(r))
    return q if rows >= columns else q.T
