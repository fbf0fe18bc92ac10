"""Images and labels as the learners of Stable SGD get them: stretches of batches, and what a test counts."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
STRETCH = 50  # batches whose dropout is drawn at once
TEST_BATCH, IMAGE_TEST_BATCH = 1000, 100  # of convolutions few images stay in the processor's cache


def batches_of(order: Labels, size: int) -> Iterator[Labels]:
    """Yields the order in stretches int64 (batches, size), at last what is left over as one small batch."""
    whole = len(order) // size
    full = order[: whole * size].reshape(whole, size)
    for start in range(0, whole, STRETCH):
        yield full[start : start + STRETCH]
    if len(order) % size:
        yield order[whole * size :][None]


def score(logits: NDArray[np.float64], y: Labels) -> tuple[int, float]:
    """Returns the number of right answers and the summed cross-entropy of logits (n, classes)."""
    z = logits - logits.max(axis=1, keepdims=True)
    loss = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
    return int((z.argmax(axis=1) == y).sum()), float(loss.sum())
