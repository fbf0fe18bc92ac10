"""Upper bounds that see tasks more than once or together (--multi)."""

from typing import TYPE_CHECKING

import torch

from clrepro.progress import Progress
from tag_repro.inputs import scaled
from tag_repro.losses import mixed_loss

if TYPE_CHECKING:
    from tag_repro.driver import Run

CYCLES = 6


def train_jointly(run: "Run", progress: Progress) -> None:
    """Train a run's network.  --multi 1: the tasks in turn, six times, an epoch at each visit, as the
    published "multi-task" row; 2: images of all tasks shuffled together, each over its own task's outputs.
    """
    tasks = range(len(run.benchmark.stream))
    if run.settings.multi == 1:
        course = progress.run(CYCLES * len(tasks), noun="visit")
        for visit in range(CYCLES * len(tasks)):
            number = visit % len(tasks)
            run.epoch(*run.training(number), number)
            course.at(visit + 1)
        return
    parts = [run.training(number) for number in tasks]
    x, y = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
    run.network.train()
    course = progress.run(run.settings.epochs_per_task, noun="epoch")
    for epoch in range(run.settings.epochs_per_task):
        order = torch.from_numpy(run.seeds.generator("shuffle").permutation(len(y))).to(x.device)
        for picks in torch.split(order, run.settings.batch_size):
            logits = run.network(scaled(x[picks], run.benchmark))
            loss = mixed_loss(logits, y[picks], run.benchmark.classes_per_task)
            run.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss.item()} in joint training; lower --lr")
            run.optimizer.step()
        course.at(epoch + 1)
