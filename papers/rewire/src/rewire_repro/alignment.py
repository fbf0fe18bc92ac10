"""Holding new weights to old ones up to permutations, and carrying cached wirings over.

With W' the weights after the last task, C and A hard permutations of a layer's outputs and inputs, the term
||W||² - 2 <C^T W' A, W> is ||W - C^T W' A||² - ||W'||²; C and A are learnt by differentiable sorting.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rewire_repro.softsort import gumbel, hard_permutation, soft_permutation, straight_through

Layer = tuple[Tensor, ...]  # weight (n, m), then vectors (n,): its bias, a layer norm's scale and shift


def matrix(scores: Tensor, tau: float, beta: float, rng: torch.Generator) -> Tensor:
    """Returns the straight-through permutation matrix (n, n) of alignment scores, noisy if beta > 0."""
    if beta > 0:
        scores = scores + beta * gumbel(len(scores), rng)
    return straight_through(*soft_permutation(scores, tau))


def aligned(old: Tensor, out: Tensor | None, into: Tensor | None) -> Tensor:
    """Returns C^T W' A for a weight (n, m), or C^T b' for a bias (n,); None stands for the identity."""
    moved = old if out is None else out.T @ old
    return moved if into is None else moved @ into


def term(new: Tensor, target: Tensor) -> Tensor:
    """Returns ||W||² - 2 <target, W>, whose value for a fixed target is the squared distance less
    ||target||².
    """
    return new.square().sum() - 2 * (target * new).sum()


def squared_distance(new: Tensor, target: Tensor) -> Tensor:
    """Returns ||W - target||², what is worth logging."""
    return (new - target.detach()).square().sum()


def hard(scores: Tensor) -> Tensor:
    """Returns the hard permutation matrix of scores, without noise."""
    return hard_permutation(torch.argsort(scores, stable=True))


def carried_over(wiring: Tensor, out: Tensor, into_next: Tensor | None) -> Tensor:
    """Returns a cached wiring of a layer, int64 (n,), in terms of the new weights.

    Args: out — alignment scores of the layer's outputs; into_next — of the next layer's inputs, None where
    those are not aligned.
    Source: w <- pi_c[w][rho_a], pi_c = argsort(c), rho_a = argsort(argsort(a)): if W = C^T W' A exactly in
    every layer, each cached task's function is the same before and after.
    """
    moved = torch.argsort(out, stable=True)[wiring]
    if into_next is None:
        return moved
    return moved[torch.argsort(torch.argsort(into_next, stable=True), stable=True)]


def targets(
    old: Sequence[Layer],
    out: Sequence[Tensor],
    into: Sequence[Tensor],
    tau: float,
    beta: float,
    rng: torch.Generator,
) -> list[Layer]:
    """Returns C^T W' A and C^T b' per layer.

    Args: out, into — alignment scores of the layers' outputs, from the first layer on, and of their inputs,
    from the second on; layers beyond have none.
    """
    outs: list[Tensor | None] = [matrix(c, tau, beta, rng) for c in out]
    intos: list[Tensor | None] = [None, *(matrix(a, tau, beta, rng) for a in into)]
    outs += [None] * (len(old) - len(outs))
    intos += [None] * (len(old) - len(intos))
    return [
        (aligned(w, c, a), *(aligned(b, c, None) for b in vectors))
        for (w, *vectors), c, a in zip(old, outs, intos, strict=True)
    ]


def all_terms(new: Sequence[Layer], targets: Sequence[Layer]) -> tuple[Tensor, Tensor]:
    """Returns (sum of `term`, sum of `squared_distance`) over the weights and vectors of the layers."""
    pairs = [
        (n, t) for layer, target in zip(new, targets, strict=True) for n, t in zip(layer, target, strict=True)
    ]
    loss = torch.stack([term(n, t) for n, t in pairs]).sum()
    return loss, torch.stack([squared_distance(n.detach(), t) for n, t in pairs]).sum()
