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
    return float(np.sum(np.clip(_between(r[-1], floor, reference), 0.0, 1.5)))


def transfer(r: NDArray[np.float64], floor: Sequence[float], reference: Sequence[float]) -> float:
    """Returns BWT: mean over all tasks but the last of what the end changed since its own training, where a
    random policy is 0 and the reference 1.  Source: spec 6.3 (d).
    """
    change = _between(r[-1], floor, reference) - _between(np.diagonal(r), floor, reference)
    return float(np.mean(change[:-1])) if len(r) > 1 else float("nan")


def _between(
    returns: NDArray[np.float64], floor: Sequence[float], reference: Sequence[float]
) -> NDArray[np.float64]:
    return np.asarray((returns - np.asarray(floor)) / (np.asarray(reference) - np.asarray(floor)), np.float64)


def retention(r: NDArray[np.float64], floor: Sequence[float]) -> NDArray[np.float64]:
    """Returns (T,): what is left at the end of each task's return above the floor after its own training."""
    return np.asarray((r[-1] - np.asarray(floor)) / (np.diagonal(r) - np.asarray(floor)), np.float64)
