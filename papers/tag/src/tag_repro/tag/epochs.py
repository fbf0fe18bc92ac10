"""A pass over images with any learner of the driver, and the share that it gets right."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clrepro.metrics.divergence import check_size
from tag_repro.evaluation import IMAGE_TEST_BATCH, TEST_BATCH, score
from tag_repro.task_stream import TaskStream


def batches(n: int, batch_size: int, rng: np.random.Generator, device: Any) -> Iterator[Tensor]:
    """Yields the indices of batches of n images in a new order, int64 (b,)."""
    yield from torch.split(torch.from_numpy(rng.permutation(n)).to(device), batch_size)


def one_epoch(
    learner: Any, x: Tensor, y: Tensor, task: int, *, batch_size: int, rng: np.random.Generator
) -> float:
    """Learn all images of a task once, in a new order; returns the mean of the batches' losses.

    Args: x — uint8 (n, inputs); y — int64 (n,), numbered over all tasks.
    Raises: FloatingPointError if a loss is no number.
    """
    losses = []
    learner.begin_epoch()
    for indices in batches(len(y), batch_size, rng, x.device):
        losses.append(learner.observe(x[indices], y[indices], task))
        if not np.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss is {losses[-1]} in task {task + 1}; lower --lr")
    return float(np.mean(losses))


def accuracy(
    learner: Any, task_stream: TaskStream, x: NDArray[np.uint8], y: NDArray[np.int64], task: int, device: Any
) -> float:
    """Returns the share of right answers on images of a task, among its own outputs.

    Raises: FloatingPointError if the network has diverged.
    """
    labels = task_stream.numbered(task, y) - task_stream.outputs(task)[0]
    normalised = task_stream.shape is not None
    right, size = 0, IMAGE_TEST_BATCH if normalised else TEST_BATCH
    for start in range(0, len(y), size):
        part = slice(start, start + size)
        logits = learner.predict(torch.from_numpy(x[part]).to(device), task).double().cpu().numpy()
        largest, what = float(np.abs(logits).max()), f"its outputs for task {task + 1}"
        check_size(largest, what, "lower --lr", normalised=normalised)
        right += score(logits, labels[part])[0]
    return right / len(y)
