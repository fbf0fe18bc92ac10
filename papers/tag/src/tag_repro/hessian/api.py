"""The one function that most callers need."""

from collections.abc import Callable, Iterable
from typing import Any

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
    mode: str = "power_iter",
    use_gpu: bool = True,
    max_samples: int = 512,
    *,
    forward_fn: Callable[[nn.Module, Tensor], Tensor] | None = None,
    compat: bool = False,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Returns the eigenvalues (k,) and unit vectors (k, P) of the Hessian of the mean loss, as numpy arrays.

    Args: mode — "power_iter" or "lanczos", whose further arguments are the kwargs; for the others see
        `HVPOperator`.
    Raises: ValueError for an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: one of {', '.join(MODES)}")
    operator = HVPOperator(
        model, dataloader, loss, use_gpu, full_dataset, max_samples, forward_fn=forward_fn, compat=compat
    )
    if mode == "lanczos":
        return lanczos(operator, num_eigenthings, use_gpu=use_gpu, **kwargs)
    return deflated_power_iteration(operator, num_eigenthings, use_gpu=use_gpu, **kwargs)
