"""Cross-entropy over the outputs that take part: one task's, or each example's own task's."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional


def task_loss(logits: Tensor, y: Tensor, outputs: tuple[int, int]) -> Tensor:
    """Returns the mean cross-entropy of labels y (n,) over outputs low..high-1 of logits (n, all outputs).

    Raises: ValueError for a label that is not among them.
    """
    low, high = outputs
    if len(y) and not (low <= int(y.min()) and int(y.max()) < high):
        raise ValueError(f"labels {int(y.min())}..{int(y.max())}: outside of the outputs {low}..{high - 1}")
    return functional.cross_entropy(logits[:, low:high], y - low)


def mixed_loss(logits: Tensor, y: Tensor, classes_per_task: int) -> Tensor:
    """Returns the mean cross-entropy of examples of several tasks, each over its own task's outputs.

    The outputs of foreign tasks get no gradient.
    """
    n = len(y)
    own = logits.reshape(n, -1, classes_per_task)[torch.arange(n, device=y.device), y // classes_per_task]
    return functional.cross_entropy(own, y % classes_per_task)


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Inside a `with` block batch normalisation uses its running statistics and leaves them as they are."""
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()
