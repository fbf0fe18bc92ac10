"""Batches of a task: a few at a time, so that an engine can learn them in one call."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
STRETCH = 50  # batches that are learnt in one call


def batches_of(order: Labels, size: int) -> Iterator[Labels]:
    """Yields the order in stretches int64 (batches, size), at last what is left over as one small batch."""
    whole = len(order) // size
    full = order[: whole * size].reshape(whole, size)
    for start in range(0, whole, STRETCH):
        yield full[start : start + STRETCH]
    if len(order) % size:
        yield order[whole * size :][None]


def one_by_one(x: Images, y: Labels) -> tuple[Images, Labels]:
    """Returns batches x (steps, n, inputs), y (steps, n); a single batch (n, inputs), (n,) is one step."""
    return (x[None], y[None]) if y.ndim == 1 else (x, y)
