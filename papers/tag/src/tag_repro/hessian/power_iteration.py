"""Eigenpairs of largest size, one after the other, by power iteration with deflation."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tag_repro.hessian.operator import LambdaOperator, Operator
from tag_repro.hessian.residual import LARGE, warn_if_large

STEPS, THRESHOLD = 1000, 1e-5
ROUNDING = 16  # units of rounding by which a product may differ: no residual gets smaller
APART = 1e-3  # sine of the angle from which on two vectors span a plane in float32
CURE = "take more steps, or the Lanczos method, which needs far fewer products where eigenvalues are close"


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

    Stops when the residual ‖Hv − λv‖ falls to error_threshold times |λ| or to the rounding of its type, and
    warns (UserWarning) where it is above 1e-3 of |λ| after so many steps.  The pair is the better one in the
    plane of the last two vectors, so that λ and −λ, which plain iteration mixes for ever, come apart.
    Args: momentum — share of the vector before that is taken from each image; init_vec — start, of any length
        but 0; against — (k, size) orthonormal rows that the vector is kept orthogonal to; generator — draws
        the start otherwise (default: seed 0).
    Raises: ValueError for a start without length, or fewer steps than one.
    """
    value, vector, off = _iterate(
        operator, steps, error_threshold, momentum, use_gpu, init_vec, against, generator
    )
    if not off <= LARGE * abs(value):
        warnings.warn(
            f"the eigenvalue did not settle in {steps} steps ({value:.4g} ± {off:.2g}); {CURE}", stacklevel=2
        )
    return value, vector


def _iterate(
    operator: Operator, steps: int, error_threshold: float, momentum: float, use_gpu: bool,
    init_vec: Tensor | None, against: Tensor | None, generator: torch.Generator | None,
) -> tuple[float, Tensor, float]:  # fmt: skip
    """Eigenvalue, unit vector and residual after so many steps or fewer."""
    if steps < 1:
        raise ValueError(f"{steps} steps: 1 or more")
    if init_vec is None:
        generator = generator or torch.Generator().manual_seed(0)
        init_vec = torch.randn(operator.size, generator=generator)
    vector = _unit(_without(init_vec.to(_device(use_gpu)), against))
    before: tuple[Tensor, Tensor] | None = None  # the last vector and its image
    value, best, off = 0.0, vector, float("inf")
    previous = torch.zeros_like(vector)
    floor = ROUNDING * torch.finfo(vector.dtype).eps
    for _ in range(steps):
        image = _without(operator.apply(vector), against)
        value, best, off = _ritz(vector, image, before)
        if off <= max(error_threshold, floor) * abs(value) or not np.isfinite(value):
            break
        before, following = (vector, image), image - momentum * previous
        norm = float(torch.linalg.vector_norm(following))
        if norm <= torch.finfo(image.dtype).tiny:  # the operator maps it to nothing: an eigenvector of 0
            return 0.0, vector, 0.0
        previous, vector = vector, following / norm
    return value, _unit(best), off


def _ritz(vector: Tensor, image: Tensor, before: tuple[Tensor, Tensor] | None) -> tuple[float, Tensor, float]:
    """The value, vector and residual of the best pair in the span of two vectors whose images are known: the
    one of largest size, of two opposite ones the positive.
    """
    value = float(vector @ image)
    if not np.isfinite(value):
        return value, vector, value
    pairs = [(value, vector, image)]
    if before is not None:
        share = float(vector @ before[0])
        beside = before[0] - share * vector
        norm = float(torch.linalg.vector_norm(beside))
        if norm > APART:
            beside, beside_image = beside / norm, (before[1] - share * image) / norm
            cross, other = float(vector @ beside_image), float(beside @ beside_image)
            values, mixed = np.linalg.eigh(np.array([[value, cross], [cross, other]]))
            pairs = [
                (one, x * vector + y * beside, x * image + y * beside_image)
                for one, (x, y) in zip(values.tolist(), mixed.T.tolist(), strict=True)
            ]
    largest = max(abs(one) for one, _, _ in pairs)
    close = [pair for pair in pairs if abs(pair[0]) >= largest * (1 - 1e-3)]
    value, vector, image = max(close, key=lambda pair: pair[0])
    return value, vector, float(torch.linalg.vector_norm(image - value * vector))


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

    Each is sought by power iteration from a fresh random vector, orthogonal to those found before.  Warns
    (UserWarning) of those that are no eigenpairs of the operator, by their residual.
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

        value, vector, _ = _iterate(
            LambdaOperator(deflated, operator.size), power_iter_steps, power_iter_err_threshold, momentum,
            use_gpu, None, vectors, generator,
        )  # fmt: skip
        values.append(value)
        vectors = torch.cat([vectors, vector[None]])
    numbers = np.array(values)
    warn_if_large(operator, numbers, vectors.cpu(), CURE)
    # Of two opposite eigenvalues, which rounding alone tells apart, the positive comes first.
    size = np.abs(numbers) + np.where(numbers > 0, THRESHOLD * np.abs(numbers).max(), 0)
    order = np.argsort(-numbers if sort == "value" else -size, kind="stable")
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
