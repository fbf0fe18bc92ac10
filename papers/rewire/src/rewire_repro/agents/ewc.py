"""ewc: one network, each weight held as firmly as the Fisher information says."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rewire_repro.agents.agent import PolicyValues, sizes_of
from rewire_repro.agents.l2 import HeldActionAgent
from rewire_repro.gaussian import LOG_SIGMA
from rewire_repro.networks import Net, to_arrays, to_tensors

FLOOR = 1e-5  # of every sample's Fisher information, as in the original
CHUNK = 2**22  # Jacobian entries held at a time


@dataclass(frozen=True)
class EWCValues(PolicyValues):
    """Configuration keys; fisher_coeff is lambda."""

    fisher_coeff: float = 1.0


class EWCActionAgent(HeldActionAgent):
    """Each weight is held by its Fisher information, summed over the tasks seen (no ½)."""

    Values = EWCValues

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fisher: list[Tensor] = []

    def add_fisher(self, obs: Tensor) -> None:
        """Add the Fisher information on observations (n, n_in) of the task that has ended."""
        new = fisher_diagonal(self.net, obs, self.shape.n_actions, self.faithful)
        self.fisher = [a + b for a, b in zip(self.fisher, new, strict=True)] if self.fisher else new

    def strength(self) -> float:
        """Returns lambda."""
        return float(self.values.fisher_coeff)

    def importance(self) -> list[Tensor]:
        """Returns the Fisher information."""
        return self.fisher

    def numel(self) -> dict[str, int]:
        """Returns one network to act; theta* and F besides to learn."""
        n = self.net.numel()
        return sizes_of(n, 3 * n)

    def state(self) -> dict[str, Any]:
        """Returns the parameters, theta* and F."""
        return {**super().state(), "fisher": to_arrays(self.fisher)}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        super().load(state)
        self.fisher = to_tensors(state["fisher"], self.rngs.device)


def fisher_diagonal(net: Net, obs: Tensor, n_actions: int, faithful: bool = False) -> list[Tensor]:
    """Returns the Fisher diagonal of a diagonal Gaussian policy, one tensor per parameter.

    Args: obs — (n, n_in); faithful — the original's outputs: the first half of mu taken as the mean, the
    second
    as log sigma, an odd one left out.
    Source: F_j(o) = sum_d [(d mu_d / d theta_j)² + 2 (d sigma_d / d theta_j)²] / (sigma_d² + 1e-6), clamped
    from below at 1e-5 sample by sample, averaged.
    """
    parameters = [one.detach() for one in net.tensors()]
    half = n_actions // 2 if faithful else n_actions

    def outputs(tensors: list[Tensor], o: Tensor) -> tuple[Tensor, Tensor]:
        y = net.rebuilt(tensors)(o[None])[0]
        both = torch.cat([y[:half], y[half : 2 * half].clamp(*LOG_SIGMA).exp()])
        return both, both[half:].detach()

    jacobian = torch.func.jacrev(outputs, has_aux=True)
    rows = max(1, CHUNK // (2 * half * sum(one.numel() for one in parameters)))
    total = [torch.zeros_like(one) for one in parameters]
    for chunk in torch.split(obs, rows):
        parts, sigma = torch.func.vmap(jacobian, in_dims=(None, 0))(parameters, chunk)
        weight = 1 / (sigma.square() + 1e-6)
        weight = torch.cat([weight, 2 * weight], dim=-1)  # (rows, 2 half)
        for at, part in enumerate(parts):
            per_sample = torch.einsum("bd,bd...->b...", weight, part.square())
            total[at] += per_sample.clamp(min=FLOOR).sum(0)
    return [one / len(obs) for one in total]
