"""What holds a policy to its earlier tasks: EWC's Fisher information, UCL's uncertain nodes."""

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from hvcl_repro import ucl
from hvcl_repro.baselines.policy import NodeLinear, Policy, log_prob

Named = dict[str, Tensor]


def fisher(policy: Policy, states: Tensor, task: int, mask: Tensor, rng: torch.Generator) -> Named:
    """Returns for every parameter the mean over states of the squared score, actions drawn from the policy.

    Source: Kirkpatrick et al. 2017; spec 7, item 27.
    Differs from the original: per state, not of a mini-batch's clipped mean gradient of the PPO loss.
    """
    policy.eval()
    with torch.no_grad():
        mean, log_std, _ = policy(states, task)
        actions = mean + torch.exp(log_std) * torch.randn(mean.shape, generator=rng)
    parameters = {name: p.detach() for name, p in policy.named_parameters()}

    def score(parameters: Named, state: Tensor, action: Tensor) -> Tensor:
        mean, log_std, _ = functional_call(policy, parameters, (state[None], task))
        return log_prob(action[None], mean, log_std, mask)[0]

    scores = vmap(grad(score), in_dims=(None, 0, 0))(parameters, states, actions)
    return {name: (g**2).mean(0) for name, g in scores.items()}


class EWC:
    """lambda / 2 · sum over tasks of F (theta - theta*)²; online: one F, the latest theta*."""

    def __init__(self, strength: float, online: bool) -> None:
        self.strength, self.online = strength, online
        self.terms: list[tuple[Named, Named]] = []

    def loss(self, policy: Policy) -> Tensor:
        """Returns the penalty, a scalar."""
        now = dict(policy.named_parameters())
        total = torch.zeros(())
        for importance, anchor in self.terms:
            total = total + sum((f * (now[n] - anchor[n]) ** 2).sum() for n, f in importance.items())
        return 0.5 * self.strength * total

    def close(self, policy: Policy, importance: Named) -> None:
        """Remember the task just learned."""
        anchor = {name: p.detach().clone() for name, p in policy.named_parameters()}
        if self.online and self.terms:
            importance = {name: f + self.terms[0][0][name] for name, f in importance.items()}
            self.terms = []
        self.terms.append((importance, anchor))


class UCL:
    """Weights into and out of certain nodes are held; nodes may become certain, but not all at once.

    Args: initial — deviation of every node at the start; beta — weight of the deviations' term.
    Source: Ahn et al. 2019, equation 8; see `hvcl_repro.ucl`.
    """

    def __init__(self, policy: Policy, initial: float, beta: float) -> None:
        self.initial, self.beta = initial, beta
        self.close(policy)
        self.began = False

    def close(self, policy: Policy) -> None:
        """Remember the task just learned."""
        self.old = [
            [(layer.mu.detach().clone(), layer.sigma.detach().clone()) for layer in net]
            for net in policy.node_layers()
        ]
        self.began = True

    def loss(self, policy: Policy) -> Tensor:
        """Returns the penalty, a scalar; in the first task its part for the deviations alone."""
        total = torch.zeros(())
        for net, old in zip(policy.node_layers(), self.old, strict=True):
            below: Tensor | None = None
            for layer, (mu, sigma) in zip(net, old, strict=True):
                total = total + self._layer(layer, mu, sigma, below)
                below = sigma
        return total

    def _layer(self, layer: NodeLinear, mu: Tensor, sigma: Tensor, below: Tensor | None) -> Tensor:
        out: Tensor = 0.5 * self.beta * ucl.spread(torch, layer.sigma, sigma)
        if self.began:
            hold = self.initial / sigma
            if below is not None:
                hold = torch.maximum(hold, (self.initial / below).T)
            out = out + ucl.drift(torch, layer.mu, mu, sigma, hold, self.initial)
        return out


def terms_state(penalty: Any) -> list[Any]:
    """Returns what a penalty remembers, as nested lists of arrays, in a fixed order."""
    if isinstance(penalty, EWC):
        return [[{n: t.numpy() for n, t in part.items()} for part in pair] for pair in penalty.terms]
    if isinstance(penalty, UCL):
        return [[[mu.numpy(), sigma.numpy()] for mu, sigma in net] for net in penalty.old]
    return []


def load_terms(penalty: Any, state: list[Any]) -> None:
    """Give a penalty back what `terms_state` returned."""
    if isinstance(penalty, EWC):
        penalty.terms = [
            (
                {n: torch.from_numpy(a) for n, a in pair[0].items()},
                {n: torch.from_numpy(a) for n, a in pair[1].items()},
            )
            for pair in state
        ]
    if isinstance(penalty, UCL):
        penalty.old = [[(torch.from_numpy(mu), torch.from_numpy(s)) for mu, s in net] for net in state]
        penalty.began = True
