"""What a continual run measured, and the sums made of it: by itself, and against references.  Spec 6."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Curves = list[list[list[float]]]  # [after task][on task][evaluation]: mean raw return
FINAL = 3  # evaluations that make a cell of the matrix


def matrix(curves: Curves) -> NDArray[np.float64]:
    """Returns R (T, T): mean of the last three evaluations of segment t on task i, nan for unseen tasks."""
    n = len(curves)
    r = np.full((n, n), np.nan)
    for t, segment in enumerate(curves):
        for i, values in enumerate(segment):
            r[t, i] = np.mean(values[-FINAL:]) if values else np.nan
    return r


def self_normalised(curves: Curves) -> float:
    """Returns S: sum of final returns, each over the best one of its own training segment.

    Undefined (nan) where a best return is not positive; it rewards learners that never were good.
    Source: the original's plotting, spec 6.2.
    """
    r = matrix(curves)
    best = np.array([max(segment[i], default=np.nan) for i, segment in enumerate(curves)])
    return float(np.sum(r[-1] / best)) if np.all(best > 0) else float("nan")


def reference_normalised(r: NDArray[np.float64], floor: Sequence[float], reference: Sequence[float]) -> float:
    """Returns S_ref: sum over tasks of the last row between floor (0) and reference (1), within [0, 1.5].

    Args: r — the matrix; floor — a random policy's returns; reference — a single-task agent's.
    Source: spec 6.3.
    """
    scaled = (r[-1] - np.asarray(floor)) / (np.asarray(reference) - np.asarray(floor))
    return float(np.sum(np.clip(scaled, 0.0, 1.5)))


def retention(r: NDArray[np.float64], floor: Sequence[float]) -> NDArray[np.float64]:
    """Returns (T,): what is left at the end of each task's return above the floor after its own training."""
    return np.asarray((r[-1] - np.asarray(floor)) / (np.diagonal(r) - np.asarray(floor)), np.float64)
