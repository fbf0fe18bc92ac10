"""Upper bounds that see tasks more than once or together (--multi)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clrepro.progress import Progress
from clrepro.seeding import Seeds
from tag_repro.inputs import scaled
from tag_repro.losses import mixed_loss
from tag_repro.tag.epochs import batches
from tag_repro.task_stream import TaskStream

CYCLES = 6
UNION = 50_000  # images of --multi 3


def train_in_turn(
    epoch: Callable[[Tensor, Tensor, int], None], task_stream: TaskStream, device: Any, progress: Progress
) -> None:
    """The tasks in turn, six times, an epoch at each visit, as the published "multi-task" row (--multi 1).

    Args: epoch — learns images x, labels y of a task once.
    """
    tasks = len(task_stream.stream)
    course = progress.run(CYCLES * tasks, noun="visit")
    for visit in range(CYCLES * tasks):
        number = visit % tasks
        x, y = (torch.from_numpy(each).to(device) for each in task_stream.training(number))
        epoch(x, y, number)
        course.at(visit + 1)


def train_jointly(
    network: nn.Module, optimizer: torch.optim.Optimizer, task_stream: TaskStream, seeds: Seeds, device: Any,
    progress: Progress, *, one_head: bool, epochs: int, batch_size: int,
) -> None:  # fmt: skip
    """Images of all tasks shuffled together, each over its own task's outputs (--multi 2); with one_head as
    many of them as one task of MNIST has, in one head for all (--multi 3).
    """
    x, y = _union(task_stream, seeds, device, one_head)
    network.train()
    course = progress.run(epochs, noun="epoch")
    for epoch in range(epochs):
        for indices in batches(len(y), batch_size, seeds.generator("shuffle"), x.device):
            logits = network(scaled(x[indices], task_stream))
            loss = mixed_loss(logits, y[indices], task_stream.classes_per_task)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss.item()} in joint training; lower --lr")
            optimizer.step()
        course.at(epoch + 1)


def _union(task_stream: TaskStream, seeds: Seeds, device: Any, one_head: bool) -> tuple[Tensor, Tensor]:
    """Returns all tasks' images and labels; with one head so many drawn without repetition, task by task,
    since twenty times MNIST is a gigabyte.  (Its tasks are all made of the same images, so they are of one
    size.)
    """
    parts, tasks, picked = [], len(task_stream.stream), np.empty(0, np.int64)
    for number in range(tasks):
        x, y = task_stream.training(number)
        if one_head:
            if not number:
                total = tasks * len(y)
                rng = seeds.generator("union")
                picked = np.sort(rng.choice(total, min(UNION, total), replace=False))
            low, high = np.searchsorted(picked, [number * len(y), (number + 1) * len(y)])
            own = picked[low:high] - number * len(y)
            x, y = x[own], y[own]
        parts.append((torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)))
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
