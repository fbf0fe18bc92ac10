"""The tasks of a run: slices of one image set, with their pixels moved or their classes picked.  Spec section
4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.streams import apply_map, permutation_map, rotation_map, slices
from ta_agem_repro.settings import N_CLASSES, Settings

ROTATION_STEP = 20.0  # degrees from task to task, counter-clockwise, whatever their number
LITE_TRAIN, LITE_TEST = 1000, 200  # images per class that --lite keeps at most


@dataclass(frozen=True)
class Images:
    """A data set as the tasks need it: x uint8 (n, inputs), y int64 (n,); checksums — file name to sha256."""

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    checksums: dict[str, str]


@dataclass(frozen=True)
class TaskImages:
    """One task: x uint8 (n, inputs), y int64 (n,) in 0..9, or 0 and 1 for class_split."""

    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]


def build(settings: Settings, images: Images, rng: np.random.Generator) -> list[TaskImages]:
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
    if settings.task_type == "class_split":
        tasks = [_classes(images, (2 * t, 2 * t + 1)) for t in range(settings.num_tasks)]
    else:
        tasks = _moved(settings, images, rng)
    for number, task in enumerate(tasks):
        if len(task.y_train) < settings.batch_size or not len(task.y_test):
            raise DataError(
                f"{images.name}: task {number} has {len(task.y_train)} training and {len(task.y_test)} test "
                f"images; a batch takes {settings.batch_size}. Take fewer tasks or smaller batches"
            )
    return tasks


def reordered(images: Images, seed: int) -> Images:
    """Returns the same images in an order of their own, training and test images apart.

    Contiguous slices follow the order of the files.  Where the official order is lost (CIFAR-10), runs over
    several orders let an interval contain what the order does.
    """
    rng = np.random.default_rng([seed, len("record order")])  # no generator of the run moves
    return _picked(images, rng.permutation(len(images.y_train)), rng.permutation(len(images.y_test)))


def lite(images: Images, rng: np.random.Generator) -> Images:
    """Returns the first images of each class, at most 1000 to train and 200 to test on, shuffled.

    Unshuffled, contiguous slices of a set ordered by class would hold one class each.
    """
    kept = []
    for y, most in ((images.y_train, LITE_TRAIN), (images.y_test, LITE_TEST)):
        first = [np.flatnonzero(y == label)[:most] for label in range(N_CLASSES)]
        kept.append(rng.permutation(np.concatenate(first)))
    return _picked(images, *kept)


def _picked(images: Images, train: NDArray[np.int64], test: NDArray[np.int64]) -> Images:
    """The images at the indices `train` and `test`, int64 (n,) each, in that order."""
    return Images(
        images.name, images.x_train[train], images.y_train[train], images.x_test[test], images.y_test[test],
        images.checksums,
    )  # fmt: skip


def _moved(settings: Settings, images: Images, rng: np.random.Generator) -> list[TaskImages]:
    n_pixels = images.x_train.shape[1]
    tasks = []
    train, test = (slices(len(y), settings.num_tasks) for y in (images.y_train, images.y_test))
    for number, (a, b) in enumerate(zip(train, test, strict=True)):
        if settings.task_type == "permutation":
            pixels = permutation_map(n_pixels, rng)
        else:
            pixels = rotation_map(ROTATION_STEP * number, round(n_pixels**0.5))
        tasks.append(
            TaskImages(
                apply_map(images.x_train[a], pixels),
                images.y_train[a],
                apply_map(images.x_test[b], pixels),
                images.y_test[b],
            )
        )
    return tasks


def _classes(images: Images, classes: tuple[int, int]) -> TaskImages:
    train, test = np.isin(images.y_train, classes), np.isin(images.y_test, classes)
    return TaskImages(
        images.x_train[train], images.y_train[train] % 2, images.x_test[test], images.y_test[test] % 2
    )
