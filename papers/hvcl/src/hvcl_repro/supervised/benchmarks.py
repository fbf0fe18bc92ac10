"""The streams of tasks: classes in pairs (or tens) under one head, or pixels permuted.  Spec 4.6, 8."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clrepro import datasets
from clrepro.errors import UsageError
from clrepro.streams import Stream, permuted, split_classes
from clrepro.streams.tasks import Split, Task
from hvcl_repro.supervised.settings import SupervisedSettings
from hvcl_repro.supervised.textures import textures

HELD_BACK = 10  # one image in so many is for validation


@dataclass(frozen=True)
class TaskStream:
    """stream — tasks in order, with held-back training images in place of the test images if that was asked
    for; shape — of one image (height, width[, channels]); n_classes — outputs of the one head; checksums —
    file name to sha256.
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
    classes = n_classes = int(split[1].max()) + 1
    if settings.benchmark == "permuted-mnist":
        stream = permuted(split, settings.tasks, rng, first_identity=True)
    elif classes % settings.tasks or classes // settings.tasks < 2:
        raise UsageError(f"--tasks {settings.tasks}: {classes} classes in equal parts of two or more")
    else:
        n_classes = classes // settings.tasks
        stream = split_classes(split, n_classes, labels="within_task")
    if settings.eval_on == "validation":
        stream = stream.map(held_back)
    return TaskStream(stream, shape, n_classes, checksums)


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


def held_back(task: Task) -> Task:
    """Returns the task with a tenth of its training images held back for the place of the test images."""
    # The same images for every seed and method, whatever else is drawn.
    order = np.random.default_rng(0).permutation(len(task.y_train))
    held, kept = order[::HELD_BACK], np.delete(order, np.s_[::HELD_BACK])
    return replace(
        task,
        x_train=task.x_train[kept], y_train=task.y_train[kept],
        x_test=task.x_train[held], y_test=task.y_train[held],
    )  # fmt: skip


def joined(stream: Stream, labels_apart: int = 0) -> Task:
    """Returns all tasks in one.

    Args: labels_apart — what is added to the labels from each task to the next.
    """
    every = list(stream)
    x, x_test = (np.concatenate([getattr(task, name) for task in every]) for name in ("x_train", "x_test"))
    y, y_test = (
        np.concatenate([t * labels_apart + getattr(task, name) for t, task in enumerate(every)])
        for name in ("y_train", "y_test")
    )
    classes = tuple(label for task in every for label in task.classes)
    return Task("all", x, y, x_test, y_test, classes)
