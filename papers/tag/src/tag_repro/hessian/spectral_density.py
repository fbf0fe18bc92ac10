"""The density of all eigenvalues, by stochastic Lanczos quadrature."""

import numpy as np
import torch
from numpy.typing import NDArray

from tag_repro.hessian.operator import Operator

Vector = NDArray[np.float64]


def spectral_density(
    operator: Operator, probes: int = 8, steps: int = 40, *, seed: int = 0
) -> tuple[Vector, Vector]:
    """Returns (nodes, weights), float64 (n,) each: the spectrum as weighted points, weights adding up to 1.

    The mean of f over all eigenvalues is about sum(weights * f(nodes)).
    Args: probes — random vectors of ±1; steps — Lanczos steps for each, at most the dimension.
    Source: Lin, Saad and Yang 2016, stochastic Lanczos quadrature.
    """
    if probes < 1 or steps < 1:
        raise ValueError(f"probes {probes}, steps {steps}: 1 or more of both")
    rng, nodes, weights = np.random.default_rng(seed), [], []
    for _ in range(probes):
        start = rng.choice([-1.0, 1.0], operator.size)
        diagonal, beside = _tridiagonal(operator, start / np.linalg.norm(start), min(steps, operator.size))
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        nodes.append(values)
        weights.append(vectors[0] ** 2 / probes)
    found = np.concatenate(nodes)
    order = np.argsort(found)
    return found[order], np.concatenate(weights)[order]


def _tridiagonal(operator: Operator, start: Vector, steps: int) -> tuple[Vector, Vector]:
    """Diagonal and off-diagonal of the operator in the basis of the Krylov space, fully reorthogonalised."""
    basis = [start]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(steps):
        image = operator.apply(torch.from_numpy(basis[-1]).float()).cpu().numpy().astype(np.float64)
        diagonal.append(float(image @ basis[-1]))
        known = np.stack(basis)
        for _ in range(2):
            image = image - known.T @ (known @ image)
        norm = float(np.linalg.norm(image))
        # Also where all is 0 so far: the space is exhausted.
        if norm <= 1e-6 * max(map(abs, diagonal + beside)) or len(diagonal) == steps:
            break
        beside.append(norm)
        basis.append(image / norm)
    return np.array(diagonal), np.array(beside[: len(diagonal) - 1])
