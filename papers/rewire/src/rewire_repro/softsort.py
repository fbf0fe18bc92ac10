"""Differentiable sorting: a permutation that is exact in the forward pass and soft in the backward pass.

Source: SoftSort (Prillo & Eisenschlos 2020), ascending: with s_(i) the i-th smallest score,
P~_ij = softmax_j(-|s_(i) - s_j| / tau).
"""

from typing import Any

import torch
from torch import Tensor


def soft_permutation(scores: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Returns (P~ (n, n) with rows that sum to 1, the stable order of the scores int64 (n,))."""
    order = torch.argsort(scores, stable=True)
    return torch.softmax((scores[order][:, None] - scores).abs() / -tau, dim=-1), order


def hard_permutation(order: Tensor) -> Tensor:
    """Returns the permutation matrix P (n, n) with (P z)_i = z[order_i]."""
    return torch.nn.functional.one_hot(order, len(order)).to(torch.float32)


def straight_through(soft: Tensor, order: Tensor) -> Tensor:
    """Returns a matrix with the value of the hard permutation and the gradient of P~.

    Differs from the original: the hard part comes from the order, not from argmax of P~, whose columns are
    chosen twice where scores tie.
    """
    return hard_permutation(order) + soft - soft.detach()


class _Permute(torch.autograd.Function):
    """y = z P^T for the hard P; the gradient towards P goes to P~, that towards z through P."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, soft: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(z, order)
        return z.index_select(-1, order)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        z, order = ctx.saved_tensors
        to_z = torch.empty_like(grad).index_copy_(-1, order, grad) if ctx.needs_input_grad[0] else None
        to_soft = grad.T @ z if ctx.needs_input_grad[1] else None
        return to_z, to_soft, None


def permute(z: Tensor, soft: Tensor, order: Tensor) -> Tensor:
    """Returns z (B, n) with its columns in `order`: `z @ straight_through(soft, order).T`, two products
    less.
    """
    return _Permute.apply(z, soft, order)  # type: ignore[no-untyped-call, no-any-return]


def gumbel(n: int, rng: torch.Generator) -> Tensor:
    """Returns standard Gumbel numbers (n,)."""
    return -torch.empty(n, device=rng.device).exponential_(generator=rng).log()


def amplified(scores: Tensor, factor: float) -> Tensor:
    """Returns the scores with their gradient times `factor`; the value stays."""
    return factor * scores - (factor - 1) * scores.detach()


def even_scores(n: int, device: torch.device) -> Tensor:
    """Returns n evenly spaced scores in [0, 1]: the identity permutation."""
    return torch.linspace(0, 1, n, device=device)


def scores_of(order: Tensor) -> Tensor:
    """Returns evenly spaced scores in [0, 1] whose argsort is `order`."""
    return even_scores(len(order), order.device)[torch.argsort(order)]
