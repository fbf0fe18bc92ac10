"""Eigenpairs by the Lanczos method of scipy (ARPACK), in float64 on the processor."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from tag_repro.hessian.operator import Operator
from tag_repro.hessian.residual import warn_if_large

WHICH = ("LM", "SM", "LA", "SA")


def lanczos(
    operator: Operator,
    num_eigenthings: int = 10,
    which: str = "LM",
    max_steps: int = 300,
    tol: float = 1e-6,
    num_lanczos_vectors: int | None = None,
    init_vec: NDArray[np.float64] | None = None,
    use_gpu: bool = False,
    *,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns eigenvalues (k,) ascending and unit vectors (k, size).

    Args: which — "LM", "SM" (largest, smallest in size), "LA", "SA" (in value); max_steps — restarts;
        num_lanczos_vectors — default min(2k, size - 1), but at least 20 where there are as many dimensions;
        init_vec — start (size,), else drawn from seed.
    Warns (UserWarning) of pairs whose residual ‖Hv − λv‖ is above 1e-3 of the largest, and returns nan where
    the operator does.
    Raises: ValueError for k not below size or another `which`; scipy's ArpackNoConvergence after max_steps.
    """
    size = operator.size
    if which not in ("LM", "SM", "LA", "SA") or not 1 <= num_eigenthings < size:
        raise ValueError(
            f"{num_eigenthings} eigenpairs ({which}) of {size} dimensions: fewer, LM, SM, LA or SA"
        )
    if num_lanczos_vectors is None:
        num_lanczos_vectors = min(max(2 * num_eigenthings, 20), size - 1)
    if num_lanczos_vectors <= num_eigenthings:
        num_lanczos_vectors = min(num_eigenthings + 1, size)
    device = torch.device("cuda" if use_gpu and torch.cuda.is_available() else "cpu")

    def product(vec: NDArray[np.float64]) -> NDArray[np.float64]:
        x = torch.from_numpy(np.asarray(vec, np.float32).ravel()).to(device)
        return np.asarray(operator.apply(x).cpu().numpy(), np.float64)

    start = np.random.default_rng(seed).normal(size=size) if init_vec is None else np.asarray(init_vec)
    if not np.isfinite(product(start)).all():
        warnings.warn("the operator's images are no numbers: no eigenvalues", stacklevel=2)
        return np.full(num_eigenthings, np.nan), np.full((num_eigenthings, size), np.nan)
    if not np.any(product(start)):
        # Where a random vector is mapped to nothing all is; a given one may lie where the operator is 0.
        again = np.random.default_rng(seed + 1).normal(size=size)
        if not np.any(product(again)):
            basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, num_eigenthings)))
            return np.zeros(num_eigenthings), basis.T.copy()
        start = again
    values, vectors = eigsh(
        LinearOperator((size, size), matvec=product, dtype=np.float64), num_eigenthings, which=which,
        maxiter=max_steps, tol=tol, ncv=num_lanczos_vectors, v0=start,
    )  # fmt: skip
    warn_if_large(operator, values, vectors.T, "take more max_steps or a smaller tol")
    return values, vectors.T.copy()
