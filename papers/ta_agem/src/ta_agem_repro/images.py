"""Where a run's images come from: the folder named, the places the environment names, the cache.  Spec 2.6.

Nothing here downloads; `load_dataset.py` does, when the user calls it.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro import datasets
from clrepro.datasets import Dataset
from clrepro.datasets.locate import dotted, sha256, verify
from clrepro.errors import DataError
from clrepro.io.regular_files import read_regular_text

IDX = {
    "x_train": "train-images-idx3-ubyte", "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte", "y_test": "t10k-labels-idx1-ubyte",
}  # fmt: skip
MAX_ENV = 1 << 20  # bytes of a .env file
BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
# Folder names under --data_dir, and variables that name a folder; the original's helper used the second one.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "mnist": ("DATASET_LOCATION_MNIST",),
    "fashion_mnist": ("DATASET_LOCATION_FASHION_MNIST", "DATASET_LOCATION_MNIST_FASHION"),
    "cifar10": ("DATASET_LOCATION_CIFAR10",),
}


def load_images(name: str, data_dir: Path | None = None) -> Dataset:
    """Returns the images of a data set, CIFAR-10 in grey.

    Looks in data_dir/NAME, else data_dir/name, and then nowhere else; without data_dir in the folder that
    DATASET_LOCATION_NAME gives (the process's or a .env file's in the working directory), then where
    `clrepro.datasets` looks: $CL_REPRO_DATA and the cache.
    Raises: DataError naming the places looked at, or the file that is damaged.
    """
    if name in VARIABLES:
        folder = _named(name, data_dir) if data_dir is not None else _from_environment(name)
        if folder is not None:
            return read_cifar(folder) if name == "cifar10" else read_idx_set(name, folder)
    try:
        found = datasets.load(name, data_dir if name not in VARIABLES else None)
    except DataError as problem:
        if name not in VARIABLES:
            raise
        raise DataError(f"{problem}; or: python load_dataset.py --dataset {name}") from None
    return replace(found, x_train=_grey(found.x_train), x_test=_grey(found.x_test))


def _named(name: str, data_dir: Path) -> Path:
    upper, lower = data_dir / name.upper(), data_dir / name
    for folder in (upper, lower):
        if folder.is_dir():
            return folder
    raise DataError(f"--data_dir {data_dir}: neither {upper} nor {lower} is there")


def _from_environment(name: str) -> Path | None:
    known = {**read_env(Path(".env")), **os.environ}
    for variable in VARIABLES[name]:
        if known.get(variable):
            folder = Path(known[variable])
            if not folder.is_dir():
                raise DataError(f"{variable}={folder}: no such folder; mend the variable or the .env file")
            return folder
    return None


def read_env(path: Path) -> dict[str, str]:
    """Returns the NAME=value lines of a .env file, quotes removed; nothing for a missing file.

    Raises: DataError if it cannot be read.
    """
    if not path.exists():
        return {}
    text = read_regular_text(path, MAX_ENV)
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {
        key.strip().removeprefix("export "): value.strip().strip("\"'")
        for key, value in pairs
        if not key.lstrip().startswith("#")
    }


def candidates(folder: Path, file: str) -> Iterator[Path]:
    """Yields where an idx file may lie: flat, in a folder of its own name, dotted, compressed."""
    for name in (file, dotted(file)):
        for path in (folder / name, folder / name / name):
            yield path
            yield path.with_name(path.name + ".gz")


def read_idx_set(name: str, folder: Path) -> Dataset:
    """Returns the four idx files in a folder, in any layout of `candidates`.

    Raises: DataError for a missing or damaged file or one of another data set, and for images and labels that
        do not belong together.
    """
    paths = {}
    for role, file in IDX.items():
        found = [path for path in candidates(folder, file) if path.exists() and not path.is_dir()]
        if not found:
            raise DataError(f"{folder}: no {file}, flat, in a folder of that name, dotted or .gz")
        verify(found[0], datasets.CATALOG[name], f"{file}.gz")
        paths[role] = found[0]
    arrays = {role: datasets.read_idx(path) for role, path in paths.items()}
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
            raise DataError(f"{folder}: {part} images {x.shape} and labels {y.shape} do not belong together")
        datasets.check_labels(f"{folder}: {name}", (y,), datasets.CATALOG[name].n_classes)
    return Dataset(
        name, arrays["x_train"], arrays["y_train"].astype(np.int64), arrays["x_test"],
        arrays["y_test"].astype(np.int64), datasets.CATALOG[name].licence, str(folder),
        {path.name: sha256(path) for path in paths.values()},
    )  # fmt: skip


def read_cifar(folder: Path) -> Dataset:
    """Returns CIFAR-10 in grey from `cifar-10-batches-py` in a folder, or from the folder itself.

    The batches are pickles: they are read with the restricted reader, which admits arrays and plain values.
    """
    from clrepro.datasets.cifar import read_python_batch

    inner = folder / "cifar-10-batches-py"
    home = inner if inner.is_dir() else folder
    parts = [read_python_batch(home / name) for name in BATCHES]
    x = np.concatenate([images for images, _ in parts[:-1]])
    y = np.concatenate([labels for _, labels in parts[:-1]])
    x_test, y_test = parts[-1]
    checksums = {name: sha256(home / name) for name in BATCHES}
    licence = datasets.CATALOG["cifar10"].licence
    return Dataset("cifar10", grey(x), y, grey(x_test), y_test, licence, str(home), checksums)


def _grey(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return grey(x) if x.ndim == 4 else x


def grey(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns uint8 (n, height, width) from RGB uint8 (n, height, width, 3): ITU-R 601 luma in 16-bit fixed
    point.

    Source: spec section 4; the imaging library's own arithmetic.
    """
    out = np.empty(x.shape[:3], np.uint8)
    for start in range(0, len(x), 1000):  # 32-bit sums of all 60,000 images at once would take 0.7 GB
        wide = x[start : start + 1000].astype(np.uint32)
        sums = 19595 * wide[..., 0] + 38470 * wide[..., 1] + 7471 * wide[..., 2] + 32768
        out[start : start + 1000] = sums >> 16
    return out
