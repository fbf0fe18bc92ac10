"""Reader of mini-ImageNet's three cache files: pickles of arrays, read without running anything."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io import safe_pickle

PER_CLASS, TRAIN_PER_CLASS, SIDE = 600, 480, 84
PARTS = {"train": 64, "test": 20, "val": 16}  # classes of each file, in the order in which they are numbered
MAX_FILE = 1 << 30
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_mini_imagenet(paths: dict[str, Path]) -> tuple[Part, Part]:
    """Returns ((x_train, y_train), (x_test, y_test)) of all 100 classes: images uint8 (n, 84, 84, 3).

    The first 480 of a class's 600 images are for training.  Classes are numbered file by file (train, test,
    val), in a file by their first image.
    Args: paths — "train", "test", "val" to a cache file: a table with image_data (n, 84, 84, 3) and
        class_dict, name to the places of its images.
    Raises: DataError for anything else.
    """
    train: list[NDArray[np.uint8]] = []
    test: list[NDArray[np.uint8]] = []
    for part, n_classes in PARTS.items():
        for images in _classes(paths[part], n_classes):
            train.append(images[:TRAIN_PER_CLASS])
            test.append(images[TRAIN_PER_CLASS:])
    y = np.arange(len(train))
    return (
        (np.concatenate(train), np.repeat(y, TRAIN_PER_CLASS)),
        (np.concatenate(test), np.repeat(y, PER_CLASS - TRAIN_PER_CLASS)),
    )


def _classes(path: Path, n_classes: int) -> list[NDArray[np.uint8]]:
    """A file's images class by class, each uint8 (600, 84, 84, 3)."""
    content: Any = safe_pickle.load(path, MAX_FILE, encoding="latin1")
    table = content if isinstance(content, dict) else {}
    images, places = table.get("image_data"), table.get("class_dict")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE, 3):
        raise DataError(f"{path}: no array 'image_data' uint8 (n, {SIDE}, {SIDE}, 3)")
    if not isinstance(places, dict) or len(places) != n_classes:
        raise DataError(f"{path}: no table 'class_dict' of {n_classes} classes")
    if not all(isinstance(name, str) and len(name) < 100 for name in places):
        raise DataError(f"{path}: a class of 'class_dict' has no short name")
    rows = []
    for name, at in places.items():
        try:
            chosen = np.asarray(at)
        except ValueError:  # lists of different lengths
            chosen = np.zeros(0)
        if chosen.dtype.kind not in "iu" or chosen.shape != (PER_CLASS,):
            raise DataError(f"{path}: class {name!r} has not {PER_CLASS} images")
        if chosen.min() < 0 or chosen.max() >= len(images):
            raise DataError(f"{path}: class {name!r} names images that are not there")
        rows.append(chosen)
    rows.sort(key=lambda at: int(at[0]))
    return [images[at] for at in rows]
