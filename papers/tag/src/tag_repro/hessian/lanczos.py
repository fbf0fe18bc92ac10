"""Eigenpairs by the Lanczos method of scipy (ARPACK), in float64 on the processor."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from tag_repro.hessian.operator import Operator

WHICH = ("LM", "SM", "LA", "SA")


def lanczos(
    operator: Operator,
    num_eigenthings: int = 10,
    which: str = "LM",
    max_steps: int = 20,
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
    values, vectors = eigsh(
        LinearOperator((size, size), matvec=product, dtype=np.float64), num_eigenthings, which=which,
        maxiter=max_steps, tol=tol, ncv=num_lanczos_vectors, v0=start,
    )  # fmt: skip
    return values, vectors.T.copy()
