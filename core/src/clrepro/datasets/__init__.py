"""Bytes of data sets: what they are, where they lie, and strict readers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets import quick
from clrepro.datasets.catalog import CATALOG as CATALOG
from clrepro.datasets.idx import read_idx as read_idx
from clrepro.datasets.locate import locate as locate
from clrepro.datasets.locate import sha256
from clrepro.errors import DataError, UsageError


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
    """Returns a data set of the catalogue, or the embedded subset "mnist_quick".

    Args: data_dir — look there and nowhere else; download — fetch what is missing (never done unasked).
    Raises: UsageError for an unknown name; DataError if files are missing, damaged or inconsistent.
    """
    if name == "mnist_quick":
        evidence = {quick.FILE.name: quick.SHA256}
        return Dataset(name, *quick.read_quick(), CATALOG["mnist"].licence, "embedded subset", evidence)
    if name not in CATALOG:
        raise UsageError(f"data set {name!r}: one of {', '.join(['mnist_quick', *CATALOG])}")
    entry = CATALOG[name]
    paths = locate(entry, data_dir, download)
    arrays = tuple(read_idx(paths[role]) for role in ("x_train", "y_train", "x_test", "y_test"))
    for images, labels, part in ((arrays[0], arrays[1], "train"), (arrays[2], arrays[3], "test")):
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(
                f"{name}: {part} images {images.shape} and labels {labels.shape} do not belong together"
            )
    return Dataset(
        name, arrays[0], arrays[1].astype(np.int64), arrays[2], arrays[3].astype(np.int64),
        entry.licence, str(paths["x_train"].parent), {path.name: sha256(path) for path in paths.values()},
    )  # fmt: skip
