"""The one function that most callers need."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from torch import Tensor, nn

from tag_repro.hessian.lanczos import lanczos
from tag_repro.hessian.operator import HVPOperator
from tag_repro.hessian.power_iteration import deflated_power_iteration

MODES = ("power_iter", "lanczos")


def compute_hessian_eigenthings(
    model: nn.Module,
    dataloader: Iterable[Any],
    loss: Callable[[Tensor, Tensor], Tensor],
    num_eigenthings: int = 10,
    full_dataset: bool = True,
    mode: str = "lanczos",
    use_gpu: bool = True,
    max_samples: int = 512,
    *,
    forward_fn: Callable[[nn.Module, Tensor], Tensor] | None = None,
    compat: bool = False,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Returns the k eigenvalues of largest size (k,), the largest first, and their unit vectors (k, P), of
    the Hessian of the mean loss, as numpy arrays.

    Args: mode — "lanczos" or "power_iter", whose further arguments are the kwargs; for the others see
        `HVPOperator`.
    Raises: ValueError for an unknown mode.
    Differs from the original: Lanczos is the default, since it needs fewer products and tells close or
        opposite eigenvalues apart; both warn where a pair is no eigenpair.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: one of {', '.join(MODES)}")
    operator = HVPOperator(
        model, dataloader, loss, use_gpu, full_dataset, max_samples, forward_fn=forward_fn, compat=compat
    )
    if mode == "lanczos":
        values, vectors = lanczos(operator, num_eigenthings, use_gpu=use_gpu, **kwargs)
        order = np.argsort(-np.abs(values), kind="stable")
        return values[order], vectors[order]
    return deflated_power_iteration(operator, num_eigenthings, use_gpu=use_gpu, **kwargs)
