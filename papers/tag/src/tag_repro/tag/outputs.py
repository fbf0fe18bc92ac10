"""What the TAG driver prints and writes: the original's lines, tables beside them."""

from dataclasses import asdict
from typing import Any

import numpy as np

from clrepro.settings import digest, fingerprint
from tag_repro.tag.settings import TagSettings


def trial_name(settings: TagSettings) -> str:
    """Returns a folder name that depends on the settings alone."""
    return f"{settings.dataset}-{settings.method.name}-{digest(fingerprint(settings), 6).upper()}"


class Console:
    """The lines after each task."""

    def __init__(self, settings: TagSettings) -> None:
        self.settings = settings

    def task(self, result: Any, number: int) -> None:
        """The mean accuracy so far, and for TAG each old task's accuracy and weight."""
        seen = result.accuracy[number, : number + 1]
        print(f"TASK {number + 1} / {len(result.accuracy)}  Avg Acc: {100 * seen.mean()}", flush=True)
        if self.settings.method.optimizer == "tag":
            for old in range(number):
                alpha = result.alphas[number, old]
                print(f"  task {old + 1}: accuracy {100 * seen[old]:.2f}, mean alpha {alpha:.4f}")


def say_settings(settings: TagSettings) -> None:
    """The lines before the first run."""
    for name, value in asdict(settings).items():
        print(f"  {name}: {value}")
    print(f"CUDA: {settings.device.startswith('cuda')}")
    print(f"Loading {settings.tasks} tasks for {settings.dataset}", flush=True)


def say_run(result: Any) -> None:
    """The line after a run."""
    metrics = result.metrics()
    print(
        f"average accuracy = {100 * metrics['A']}, forget = {metrics.get('F', 0.0)}, "
        f"learning accuracy = {100 * metrics.get('LA', 0.0)}",
        flush=True,
    )


def say_final(found: list[Any]) -> None:
    """Mean and population deviation over the runs, as the original."""
    parts = []
    for words, key, factor in (
        ("Final Average accuracy", "A", 100), ("forget", "F", 1), ("learning accuracy", "LA", 100),
    ):  # fmt: skip
        values = factor * np.array([result.metrics().get(key, 0.0) for result in found])
        parts.append(f"{words} = {values.mean()} +/- {values.std()}")
    print(" ".join(parts), flush=True)
