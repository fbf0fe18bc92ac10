"""A stream of tasks with what a network needs to know of them, and the images that it is made of."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro import datasets
from clrepro.streams import Stream, Task
from clrepro.streams.tasks import Split

ENLARGE, MARGIN = 3, 2  # digits 8×8 to 28×28
Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (n, inputs) and labels (n,)


@dataclass(frozen=True)
class TaskStream:
    """Tasks in order with what a network needs to know of them.

    multi_head: every task has outputs of its own, classes_per_task of them, and only those take part in it;
    numbered_labels — the stream's labels count over all tasks already; checksums — file name to sha256;
    shape — (3, side, side) of colour images, None for flat ones; scale — how pixels become numbers (see
    tag_repro.inputs); replay_classes — classes that the reservoir of ER counts.
    """

    name: str
    stream: Stream
    classes_per_task: int
    multi_head: bool
    checksums: dict[str, str]
    numbered_labels: bool = False
    shape: tuple[int, int, int] | None = None
    scale: str = "unit"
    replay_classes: int = 10
    _tests: dict[int, Labelled] = field(default_factory=dict, init=False, repr=False, compare=False)
    _last: dict[int, Labelled] = field(default_factory=dict, init=False, repr=False, compare=False)

    def training(self, task: int) -> Labelled:
        """Returns a task's training images, and labels numbered over all tasks; the last ones are kept."""
        if task not in self._last:
            self._last.clear()
            made = self.stream[task]
            self._last[task] = made.x_train, self.numbered(task, made.y_train)
        return self._last[task]

    def test(self, task: int) -> Labelled:
        """Returns a task's test images and labels; kept: making a task moves its training images too."""
        if task not in self._tests:
            made = self.stream[task]
            self._tests[task] = made.x_test, made.y_test
        return self._tests[task]

    @property
    def n_outputs(self) -> int:
        """Outputs of the network."""
        return self.classes_per_task * len(self.stream) if self.multi_head else self.classes_per_task

    def outputs(self, task: int) -> tuple[int, int]:
        """Returns (low, high): the outputs of a task."""
        low = task * self.classes_per_task if self.multi_head else 0
        return low, low + self.classes_per_task

    def numbered(self, task: int, y: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns a task's labels as numbers of outputs."""
        return y if self.numbered_labels else y + self.outputs(task)[0]

    def held_out(self, share: float, seed: int) -> "TaskStream":
        """Returns the same tasks with a random share of the training images in place of the test images.

        Which images are held out depends on seed and task alone.
        """

        def make(number: int) -> Task:
            task = self.stream[number]
            order = np.random.default_rng([seed, number]).permutation(len(task.y_train))
            out, kept = np.split(order, [max(1, int(share * len(order)))])
            x, y = task.x_train, task.y_train
            return Task(task.name, x[kept], y[kept], x[out], y[out], task.classes)

        makers = [lambda number=number: make(number) for number in range(len(self.stream))]
        stream = Stream(self.stream.name, makers, self.stream.n_inputs, self.stream.n_classes)
        return replace(self, stream=stream)


def load_split(name: str, data_dir: Path | None) -> tuple[Split, dict[str, str]]:
    """Returns a data set with flat images uint8 (n, inputs), colour channels first, and its files' sha256.

    Digits come as 28 × 28: every pixel three times in both directions, with a margin of two.
    """
    found = datasets.load(name, data_dir)
    x_train, x_test = found.x_train, found.x_test
    if name == "digits":
        x_train, x_test = enlarged(x_train), enlarged(x_test)
    if x_train.ndim == 4:  # channels first, as convolutions want them
        x_train, x_test = x_train.transpose(0, 3, 1, 2), x_test.transpose(0, 3, 1, 2)
    split = (
        np.ascontiguousarray(x_train).reshape(len(x_train), -1), found.y_train,
        np.ascontiguousarray(x_test).reshape(len(x_test), -1), found.y_test,
    )  # fmt: skip
    return split, found.sha256


def enlarged(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns uint8 (n, 28, 28) from digits (n, 8, 8)."""
    big = x.repeat(ENLARGE, axis=1).repeat(ENLARGE, axis=2)
    return np.pad(big, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
