"""Right answers and loss of logits, and how many images are evaluated at a time."""

import numpy as np
from numpy.typing import NDArray

TEST_BATCH, IMAGE_TEST_BATCH = 1000, 100  # of convolutions few images stay in the processor's cache


def score(logits: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[int, float]:
    """Returns the number of right answers and the summed cross-entropy of logits (n, classes)."""
    z = logits - logits.max(axis=1, keepdims=True)
    loss = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
    return int((z.argmax(axis=1) == y).sum()), float(loss.sum())
