"""The streams of tasks: classes in pairs (or tens) under one head, or pixels permuted.  Spec 4.6, 8."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro import datasets
from clrepro.errors import UsageError
from clrepro.streams import Stream, permuted, split_classes
from clrepro.streams.tasks import Split, Task
from hvcl_repro.supervised.settings import SupervisedSettings
from hvcl_repro.supervised.textures import textures

HELD_BACK = 10  # one image in so many is for validation


@dataclass(frozen=True)
class TaskStream:
    """Tasks in order; shape — of one image (height, width[, channels]); n_classes — outputs of the one head;
    checksums — file name to sha256.
    """

    stream: Stream
    shape: tuple[int, ...]
    n_classes: int
    checksums: dict[str, str]


def build(settings: SupervisedSettings, rng: np.random.Generator, data_dir: Path | None) -> TaskStream:
    """Returns the benchmark that the settings name.

    Args: rng — draws the permutations; data_dir — look there and nowhere else.
    Raises: UsageError if the classes do not divide into the tasks; DataError for missing or damaged files.
    """
    split, shape, checksums = _images(settings.images, data_dir)
    classes = int(split[1].max()) + 1
    if settings.benchmark == "permuted-mnist":
        return TaskStream(
            permuted(split, settings.tasks, rng, first_identity=True), shape, classes, checksums
        )
    if classes % settings.tasks or classes // settings.tasks < 2:
        raise UsageError(f"--tasks {settings.tasks}: {classes} classes in equal parts of two or more")
    per_task = classes // settings.tasks
    return TaskStream(split_classes(split, per_task, labels="within_task"), shape, per_task, checksums)


def _images(name: str, data_dir: Path | None) -> tuple[Split, tuple[int, ...], dict[str, str]]:
    if name.startswith("textures"):
        split, checksums = textures(int(name.removeprefix("textures")))
        shape = split[0].shape[1:]
    else:
        found = datasets.load(name, data_dir)
        split = (found.x_train, found.y_train, found.x_test, found.y_test)
        shape, checksums = found.x_train.shape[1:], found.sha256
    x, y, x_test, y_test = split
    return (x.reshape(len(x), -1), y, x_test.reshape(len(x_test), -1), y_test), shape, checksums


@dataclass(frozen=True)
class Parts:
    """What a task is trained on and measured on, flat uint8 images (n, inputs) and labels int64 (n,)."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    x_eval: NDArray[np.uint8]
    y_eval: NDArray[np.int64]


def parts(task: Task, eval_on: str) -> Parts:
    """Returns training and test images, or with "validation" training images alone, a tenth held back."""
    if eval_on == "test":
        return Parts(task.x_train, task.y_train, task.x_test, task.y_test)
    # The same images for every seed and method, whatever else is drawn.
    order = np.random.default_rng(0).permutation(len(task.y_train))
    held, kept = order[::HELD_BACK], np.delete(order, np.s_[::HELD_BACK])
    return Parts(task.x_train[kept], task.y_train[kept], task.x_train[held], task.y_train[held])
