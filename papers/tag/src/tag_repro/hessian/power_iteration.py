"""Eigenpairs of largest size, one after the other, by power iteration with deflation."""

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tag_repro.hessian.operator import LambdaOperator, Operator

STEPS, THRESHOLD = 100, 1e-6
log = logging.getLogger(__name__)


def power_iteration(
    operator: Operator,
    steps: int = STEPS,
    error_threshold: float = THRESHOLD,
    momentum: float = 0.0,
    use_gpu: bool = True,
    init_vec: Tensor | None = None,
    *,
    against: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[float, Tensor]:
    """Returns the eigenvalue of largest size and its unit vector (size,).

    Stops when the eigenvalue's relative change falls below error_threshold.
    Args: momentum — share of the vector before that is taken from each image; init_vec — start, of any length
        but 0; against — (k, size) orthonormal rows that the vector is kept orthogonal to; generator — draws
        the start otherwise (default: seed 0).
    Raises: ValueError for a start without length.
    """
    device = _device(use_gpu)
    if init_vec is None:
        generator = generator or torch.Generator().manual_seed(0)
        init_vec = torch.randn(operator.size, generator=generator)
    vector = _unit(_without(init_vec.to(device), against))
    value, previous = 0.0, torch.zeros_like(vector)
    for _ in range(steps):
        image = operator.apply(vector)
        old, value = value, float(vector @ image)
        image = _without(image - momentum * previous, against)
        norm = float(torch.linalg.vector_norm(image))
        if norm <= torch.finfo(image.dtype).tiny:  # the operator maps it to nothing: an eigenvector of 0
            return 0.0, vector
        previous, vector = vector, image / norm
        if abs(value - old) < error_threshold * abs(value):
            break
    image = operator.apply(vector)
    value = float(vector @ image)
    log.debug("eigenvalue %g, residual %g", value, float(torch.linalg.vector_norm(image - value * vector)))
    return value, vector


def deflated_power_iteration(
    operator: Operator,
    num_eigenthings: int = 10,
    power_iter_steps: int = STEPS,
    power_iter_err_threshold: float = THRESHOLD,
    momentum: float = 0.0,
    use_gpu: bool = True,
    to_numpy: bool = True,
    *,
    sort: str = "magnitude",
    seed: int = 0,
) -> tuple[Any, Any]:
    """Returns the num_eigenthings eigenvalues of largest size (k,) and their unit vectors (k, size).

    Each is sought by power iteration from a fresh random vector, orthogonal to those found before.
    Args: sort — "magnitude" (largest size first) or "value" (largest first, as the original); seed — of the
        start vectors.
    Raises: ValueError for more eigenpairs than dimensions, or another sort.
    """
    if not 1 <= num_eigenthings <= operator.size:
        raise ValueError(f"{num_eigenthings} eigenpairs of a {operator.size}-dimensional operator")
    if sort not in ("magnitude", "value"):
        raise ValueError(f"sort {sort!r}: magnitude or value")
    generator = torch.Generator().manual_seed(seed)
    values: list[float] = []
    vectors = torch.empty(0, operator.size, device=_device(use_gpu))
    for _ in range(num_eigenthings):
        known, found = torch.tensor(values, device=vectors.device), vectors

        def deflated(vec: Tensor, known: Tensor = known, found: Tensor = found) -> Tensor:
            return operator.apply(vec) - (known * (found @ vec)) @ found

        value, vector = power_iteration(
            LambdaOperator(deflated, operator.size), power_iter_steps, power_iter_err_threshold, momentum,
            use_gpu, against=vectors, generator=generator,
        )  # fmt: skip
        values.append(value)
        vectors = torch.cat([vectors, vector[None]])
    numbers = np.array(values)
    order = np.argsort(-numbers if sort == "value" else -np.abs(numbers), kind="stable")
    found = vectors[torch.from_numpy(order).to(vectors.device)]
    if not to_numpy:
        return torch.from_numpy(numbers[order]), found
    result: tuple[NDArray[np.float64], NDArray[np.float32]] = numbers[order], found.cpu().numpy()
    return result


def _device(use_gpu: bool) -> torch.device:
    return torch.device("cuda" if use_gpu and torch.cuda.is_available() else "cpu")


def _unit(vector: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(vector)
    if not float(norm) > 0:
        raise ValueError("the start vector has no length")
    return torch.as_tensor(vector / norm)


def _without(vector: Tensor, against: Tensor | None) -> Tensor:
    """vector less its parts along the rows of `against`, twice: once leaves rounding errors."""
    if against is None or not len(against):
        return vector
    for _ in range(2):
        vector = vector - (against @ vector) @ against
    return vector
