"""The tasks of a run: slices of one image set, with their pixels moved or their classes picked.  Spec section
4.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets import Dataset
from clrepro.errors import DataError
from clrepro.streams import Stream, Task, permuted, rotated, split_classes
from ta_agem_repro.networks import N_CLASSES
from ta_agem_repro.settings import Settings

ROTATION_STEP = 20.0  # degrees from task to task, counter-clockwise, whatever their number
LITE_TRAIN, LITE_TEST = 1000, 200  # images per class that --lite keeps at most


def build(settings: Settings, images: Dataset, rng: np.random.Generator) -> list[Task]:
    """Returns the tasks of a run, in task order.

    Task t of T has the t-th of T contiguous slices of the training images and of the test images, the last
    one with the remainder.  permutation: one permutation of the pixels per task, task 0's too; rotation: by
    20° · t counter-clockwise; class_split: not slices but the classes 2t and 2t + 1, labelled 0 and 1.
    Args: rng — the run's "data" stream.
    Raises: DataError if a task would be left without a full batch.
    """
    if settings.data_seed is not None:
        images = reordered(images, settings.data_seed)
    if settings.quick_test_mode:
        images = lite(images, rng)
    try:
        tasks = list(_stream(settings, images, rng))
    except ValueError as problem:  # fewer images than tasks, or none of a class
        raise DataError(f"{images.name}: {problem}; take fewer tasks") from None
    for number, task in enumerate(tasks):
        if len(task.y_train) < settings.batch_size or not len(task.y_test):
            raise DataError(
                f"{images.name}: task {number} has {len(task.y_train)} training and {len(task.y_test)} test "
                f"images; a batch takes {settings.batch_size}. Take fewer tasks or smaller batches"
            )
    return tasks


def reordered(images: Dataset, seed: int) -> Dataset:
    """Returns the same images in an order of their own, training and test images apart.

    Contiguous slices follow the order of the files.  Where the official order is lost (CIFAR-10), runs over
    several orders let an interval contain what the order does.
    """
    rng = np.random.default_rng([seed, len("record order")])  # no generator of the run moves
    return _picked(images, rng.permutation(len(images.y_train)), rng.permutation(len(images.y_test)))


def lite(images: Dataset, rng: np.random.Generator) -> Dataset:
    """Returns the first images of each class, at most 1000 to train and 200 to test on, shuffled.

    Unshuffled, contiguous slices of a set ordered by class would hold one class each.
    """
    kept = []
    for y, most in ((images.y_train, LITE_TRAIN), (images.y_test, LITE_TEST)):
        first = [np.flatnonzero(y == label)[:most] for label in range(N_CLASSES)]
        kept.append(rng.permutation(np.concatenate(first)))
    return _picked(images, *kept)


def _picked(images: Dataset, train: NDArray[np.int64], test: NDArray[np.int64]) -> Dataset:
    """The images at the indices `train` and `test`, int64 (n,) each, in that order."""
    return replace(
        images, x_train=images.x_train[train], y_train=images.y_train[train],
        x_test=images.x_test[test], y_test=images.y_test[test],
    )  # fmt: skip


def _stream(settings: Settings, images: Dataset, rng: np.random.Generator) -> Stream:
    if settings.task_type == "class_split":
        return split_classes(images, 2, labels="within_task", order=range(N_CLASSES))
    if settings.task_type == "permutation":
        return permuted(images, settings.num_tasks, rng, disjoint=True)
    return rotated(images, [ROTATION_STEP * t for t in range(settings.num_tasks)], disjoint=True)
