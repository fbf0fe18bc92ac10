"""Upper bounds that see tasks more than once or together (--multi)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from clrepro.progress import Progress
from tag_repro.inputs import scaled
from tag_repro.losses import mixed_loss

CYCLES = 6
UNION = 50_000  # images of --multi 3


def train_jointly(run: Any, progress: Progress) -> None:
    """Train the network of a `tag.train.Run`.

    --multi 1: the tasks in turn, six times, an epoch at each visit, as the published "multi-task" row; 2:
    images of all tasks shuffled together, each over its own task's outputs; 3: as many of them as one task
    of MNIST has, in one head for all.
    """
    tasks = range(len(run.task_stream.stream))
    if run.settings.multi == 1:
        course = progress.run(CYCLES * len(tasks), noun="visit")
        for visit in range(CYCLES * len(tasks)):
            number = visit % len(tasks)
            run.epoch(*run.training(number), number)
            course.at(visit + 1)
        return
    x, y = _union(run)
    run.network.train()
    course = progress.run(run.settings.epochs_per_task, noun="epoch")
    for epoch in range(run.settings.epochs_per_task):
        order = torch.from_numpy(run.seeds.generator("shuffle").permutation(len(y))).to(x.device)
        for indices in torch.split(order, run.settings.batch_size):
            logits = run.network(scaled(x[indices], run.task_stream))
            loss = mixed_loss(logits, y[indices], run.task_stream.classes_per_task)
            run.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss.item()} in joint training; lower --lr")
            run.optimizer.step()
        course.at(epoch + 1)


def _union(run: Any) -> tuple[Tensor, Tensor]:
    """Returns all tasks' images and labels; of --multi 3 so many drawn without repetition, task by task,
    since twenty times MNIST is a gigabyte.  (Its tasks are all made of the same images, so they are of one
    size.)
    """
    parts, tasks, picked = [], len(run.task_stream.stream), np.empty(0, np.int64)
    for number in range(tasks):
        x, y = run.training(number)
        if run.settings.multi == 3:
            if not number:
                total = tasks * len(y)
                rng = run.seeds.generator("union")
                picked = np.sort(rng.choice(total, min(UNION, total), replace=False))
            low, high = np.searchsorted(picked, [number * len(y), (number + 1) * len(y)])
            own = torch.from_numpy(picked[low:high] - number * len(y)).to(y.device)
            x, y = x[own], y[own]
        parts.append((x, y))
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
