"""Streams of colour images: Split CIFAR-100, mini-ImageNet and CUB, and five data sets one after the other.

The quick forms are made of synthetic pictures and of scikit-learn's digits.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.streams import Stream, Task, split_classes
from clrepro.streams.tasks import Split
from tag_repro.settings import Common
from tag_repro.synthetic_images import prototype_images
from tag_repro.task_stream import TaskStream, load_split

SIDE = 32
SIDES = {"cifar100": 32, "mini_imagenet": 84, "mini_imagenet_jpeg": 84, "cub": 224}
SCALES = {"cifar100": "unit", "mini_imagenet": "symmetric", "mini_imagenet_jpeg": "symmetric",
          "cub": "imagenet"}  # fmt: skip
N_CLASSES = {"cifar100": 100, "mini_imagenet": 100, "mini_imagenet_jpeg": 100, "cub": 200}
FIVE = ("cifar10", "mnist", "svhn", "notmnist", "fashion_mnist")
Checksums = dict[str, str]


def build_images(settings: Common, data_dir: Path | None) -> TaskStream:
    """Returns the task_stream of a set of images; every task has outputs of its own.

    Raises: DataError for missing or damaged files.
    """
    name, quick = settings.dataset, settings.images == "prototypes"
    if name == "5data":
        return _quick_five() if quick else _five(data_dir)
    if quick:
        per_task = 2 if settings.tasks == 10 else 5
        data, checksums = prototype_images(per_task * settings.tasks)
        side, scale = SIDE, "unit"
    else:
        data, checksums = load_split(name, data_dir)
        per_task = N_CLASSES[name] // settings.tasks
        side, scale = SIDES[name], SCALES[name]
        if name == "cub" and getattr(settings, "cub_original_scale", False):
            scale = "cub-original"
    stream = split_classes(data, per_task)
    shape = (3, side, side)
    return TaskStream(name, stream, per_task, True, checksums, True, shape, scale, per_task * settings.tasks)


def _five(data_dir: Path | None) -> TaskStream:
    """CIFAR-10, MNIST, SVHN, notMNIST and Fashion-MNIST, ten classes each.

    Files are all looked for before the first task, images decoded when a task is asked for.
    """
    checksums: Checksums = {}
    for name in FIVE:
        checksums.update({f"{name}/{file}": digest for file, digest in load_split(name, data_dir)[1].items()})
    return _sequence([_coloured(name, data_dir) for name in FIVE], checksums)


def _coloured(name: str, data_dir: Path | None) -> Callable[[], Split]:
    def make() -> Split:
        x, y, x_test, y_test = load_split(name, data_dir)[0]
        return as_colour(x), y, as_colour(x_test), y_test

    return make


def _quick_five() -> TaskStream:
    """Ten synthetic classes, the digits, the digits turned by 90° and inverted, ten other synthetic ones."""
    digits, checksums = load_split("digits", None)
    pictures, more = prototype_images(20)

    def change(how: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Callable[[], Split]:
        x, y, x_test, y_test = digits
        return cache(lambda: (as_colour(how(x)), y, as_colour(how(x_test)), y_test))

    def turned(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(np.rot90(x.reshape(-1, 28, 28), axes=(1, 2))).reshape(len(x), -1)

    def some(low: int) -> Callable[[], Split]:
        x, y, x_test, y_test = pictures
        train, test = ((labels >= low) & (labels < low + 10) for labels in (y, y_test))
        return lambda: (x[train], y[train] - low, x_test[test], y_test[test] - low)

    makers = [some(0), change(lambda x: x), change(turned), change(lambda x: 255 - x), some(10)]
    return _sequence(makers, {**checksums, **more})


def _sequence(makers: list[Callable[[], Split]], checksums: Checksums) -> TaskStream:
    """One task of ten classes per data set, labels numbered over all."""

    def task(number: int) -> Task:
        x, y, x_test, y_test = makers[number]()
        low = 10 * number
        return Task(f"set {number}", x, y + low, x_test, y_test + low, tuple(range(low, low + 10)))

    tasks = [lambda number=number: task(number) for number in range(len(makers))]
    stream = Stream("5data", tasks, 3 * SIDE * SIDE, 10 * len(makers))
    shape = (3, SIDE, SIDE)
    return TaskStream("5data", stream, 10, True, checksums, True, shape, "unit", 10 * len(makers))


def as_colour(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns flat colour images uint8 (n, 3072) of flat ones: grey 28×28 resized bilinearly, three times the
    same; colour 32×32 as they are.
    """
    if x.shape[1] == 3 * SIDE * SIDE:
        return x
    from PIL import Image

    side = round(x.shape[1] ** 0.5)
    big = np.stack([
        np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for image in x.reshape(-1, side, side)
    ])  # fmt: skip
    return np.repeat(big[:, None], 3, axis=1).reshape(len(x), -1)
