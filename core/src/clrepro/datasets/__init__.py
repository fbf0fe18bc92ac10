"""Bytes of data sets: what they are, where they lie, and strict readers."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets import digits, quick
from clrepro.datasets.catalog import CATALOG as CATALOG
from clrepro.datasets.cifar import read_cifar
from clrepro.datasets.cub import read_cub
from clrepro.datasets.folder import read_folder
from clrepro.datasets.idx import read_idx as read_idx
from clrepro.datasets.locate import locate as locate
from clrepro.datasets.locate import sha256
from clrepro.datasets.mini_imagenet import read_mini_imagenet
from clrepro.datasets.notmnist import read_notmnist
from clrepro.datasets.svhn import read_svhn
from clrepro.errors import DataError, UsageError

FOLDER_SIDES = {"mini_imagenet_jpeg": 84}  # pixels per side of images that come as files


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (n, height, width[, 3]), labels int64 (n,), and the evidence of what they are."""

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    licence: str
    source: str
    sha256: dict[str, str]


def load(name: str, data_dir: Path | None = None, download: bool = False) -> Dataset:
    """Returns a data set of the catalogue, the embedded subset "mnist_quick", or scikit-learn's "digits".

    Args: data_dir — look there and nowhere else; download — fetch what is missing (never done unasked).
    Raises: UsageError for an unknown name; DataError if files are missing, damaged or inconsistent.
    """
    if name == "mnist_quick":
        checksums = {quick.FILE.name: quick.SHA256}
        arrays = quick.read_quick()
        check_labels(name, (arrays[1], arrays[3]), CATALOG["mnist"].n_classes)
        return Dataset(name, *arrays, CATALOG["mnist"].licence, "embedded subset", checksums)
    if name == "digits":
        arrays, checksums = digits.read_digits()
        check_labels(name, (arrays[1], arrays[3]), digits.N_CLASSES)
        return Dataset(name, *arrays, digits.LICENCE, "scikit-learn", checksums)
    if name not in CATALOG:
        raise UsageError(f"data set {name!r}: one of {', '.join(['mnist_quick', 'digits', *CATALOG])}")
    entry = CATALOG[name]
    paths = locate(entry, data_dir, download)
    x_train, y_train, x_test, y_test = _read(name, paths)
    for images, labels, part in ((x_train, y_train, "train"), (x_test, y_test, "test")):
        if images.ndim not in (3, 4) or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(
                f"{name}: {part} images {images.shape} and labels {labels.shape} do not belong together"
            )
    check_labels(name, (y_train, y_test), entry.n_classes)
    return Dataset(
        name, x_train, y_train.astype(np.int64), x_test, y_test.astype(np.int64),
        entry.licence, str(next(iter(paths.values())).parent),
        {path.name: sha256(path) for path in paths.values()},
    )  # fmt: skip


def check_labels(name: str, parts: Iterable[NDArray[Any]], n_classes: int) -> None:
    """Make sure that all labels are 0 to n_classes - 1; `name` is for the message.  Raises: DataError."""
    for labels in parts:
        if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
            raise DataError(
                f"{name}: labels from {labels.min()} to {labels.max()}; expected 0 to {n_classes - 1}"
            )


def _read(name: str, paths: dict[str, Path]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The arrays of a located data set, by its reader."""
    if name == "svhn":
        return *read_svhn(paths["train"]), *read_svhn(paths["test"])
    if name == "mini_imagenet":
        train, test = read_mini_imagenet(paths)
    elif "archive" not in paths:
        idx = [read_idx(paths[role]) for role in ("x_train", "y_train", "x_test", "y_test")]
        return idx[0], idx[1], idx[2], idx[3]
    elif name == "notmnist":
        train, test = read_notmnist(paths["archive"])
    elif name == "cub":
        train, test = read_cub(paths["archive"])
    elif name in FOLDER_SIDES:
        train, test = read_folder(paths["archive"], FOLDER_SIDES[name])
    else:
        train, test = read_cifar(paths["archive"], name)
    return *train, *test
