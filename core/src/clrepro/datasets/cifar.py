"""Readers of CIFAR-10 and CIFAR-100: the binary and the Python release, packed or unpacked, strict about
sizes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets.tar_files import opened
from clrepro.errors import DataError
from clrepro.io import safe_pickle
from clrepro.io.regular_files import read_regular_file

PIXELS = 3 * 32 * 32
N_COARSE = 20
MAX_MEMBER = 1 << 28  # the largest official file has 155 MB
MAX_ARCHIVE = 1 << 29  # all of one release, unpacked: 186 MB
Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class Release:
    """One way in which a set is distributed: its folder, files, and what they are.

    Attributes: label_bytes — label bytes before each binary record, the last of which counts; key — of the
    labels in a Python file; python — whether the files are pickles.
    """

    folder: str
    train: tuple[str, ...]
    test: str
    n_classes: int
    label_bytes: int = 1
    key: str = "labels"
    python: bool = False


_TEN = tuple(f"data_batch_{i}" for i in range(1, 6))
RELEASES = {
    "cifar10": (
        Release("cifar-10-batches-bin", tuple(f"{name}.bin" for name in _TEN), "test_batch.bin", 10),
        Release("cifar-10-batches-py", _TEN, "test_batch", 10, python=True),
    ),
    "cifar100": (
        Release("cifar-100-binary", ("train.bin",), "test.bin", 100, label_bytes=2),
        Release("cifar-100-python", ("train",), "test", 100, key="fine_labels", python=True),
    ),
}


def binary_batch(data: bytes, name: str, n_classes: int, label_bytes: int = 1) -> Batch:
    """Returns (images uint8 (n, 32, 32, 3), labels int64 (n,)) of a binary file's bytes.

    Args: label_bytes — 1, or 2 for CIFAR-100's coarse and fine label, of which the fine one is returned.
    Raises: DataError if the length is no whole number of records, or a label is out of range.
    """
    record = label_bytes + PIXELS
    if not data or len(data) % record:
        raise DataError(f"{name}: {len(data)} bytes are no whole number of records of {record} bytes")
    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
    if label_bytes == 2 and int(rows[:, 0].max()) >= N_COARSE:
        raise DataError(f"{name}: coarse label {rows[:, 0].max()}; expected 0 to {N_COARSE - 1}")
    return _batch(rows[:, label_bytes:], rows[:, label_bytes - 1], name, n_classes)


def python_batch(data: bytes, name: str, n_classes: int, key: str = "labels") -> Batch:
    """Returns (images uint8 (n, 32, 32, 3), labels int64 (n,)) of a Python file's bytes.

    The file is a pickle: the restricted reader takes arrays and plain values from it and runs nothing.
    Raises: DataError for anything but a table with "data" uint8 (n, 3072) and a list of labels.
    """
    table = safe_pickle.loads(data, name, encoding="latin1")
    if not isinstance(table, dict):
        raise DataError(f"{name}: holds a {type(table).__name__}; expected a table with data and labels")
    # Read as text in the official files, as bytes where somebody saved them again.
    content = {k.decode("latin1") if isinstance(k, bytes) else k: value for k, value in table.items()}
    pixels, labels = content.get("data"), content.get(key)
    if not isinstance(pixels, np.ndarray):
        raise DataError(f"{name}: no array called 'data'; expected uint8 (n, {PIXELS})")
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (PIXELS,) or not len(pixels):
        raise DataError(f"{name}: data {pixels.dtype} {pixels.shape}; expected uint8 (n, {PIXELS})")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise DataError(f"{name}: no list of numbers called {key!r}")
    # Compared as Python's numbers: a hostile one need not fit into 64 bits.
    _check_labels(labels, name, n_classes)
    return _batch(pixels, np.array(labels, np.int64), name, n_classes)


def _batch(pixels: NDArray[np.uint8], labels: NDArray[Any], name: str, n_classes: int) -> Batch:
    labels = labels.astype(np.int64)
    if len(labels) != len(pixels):
        raise DataError(f"{name}: {len(pixels)} images but {len(labels)} labels")
    _check_labels(labels.tolist(), name, n_classes)
    planes = pixels.reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def _check_labels(labels: list[int], name: str, n_classes: int) -> None:
    if wrong := [label for label in labels if not 0 <= label < n_classes]:
        # Python refuses to write out giant numbers.
        shown = str(wrong[0])[:20] if wrong[0].bit_length() < 1000 else "of over 1000 bits"
        raise DataError(f"{name}: label {shown}; expected 0 to {n_classes - 1}")


def read_python_batch(path: Path, n_classes: int = 10, key: str = "labels") -> Batch:
    """Returns one Python file of an unpacked release (see `python_batch`).

    Raises: DataError if it is missing or damaged.
    """
    return python_batch(_bytes(path), str(path), n_classes, key)


def read_cifar(path: Path, name: str) -> tuple[Batch, Batch]:
    """Returns ((x_train, y_train), (x_test, y_test)) of "cifar10" or "cifar100".

    Args: path — the official archive, or a folder that holds an unpacked release or is one.
    Raises: DataError if files are missing or damaged.
    """
    for release in RELEASES[name]:
        files = (*release.train, release.test)
        if path.is_file():
            content = _members(path, release)
        else:
            inner = path / release.folder
            home = inner if inner.is_dir() else path
            if not (home / release.test).is_file():
                continue
            content = {file: _bytes(home / file) for file in files}
        if content is None:
            continue
        parts = [_decode(content[file], f"{path}: {file}", release) for file in files]
        x = np.concatenate([images for images, _ in parts[:-1]])
        y = np.concatenate([labels for _, labels in parts[:-1]])
        return (x, y), parts[-1]
    wanted = " or ".join(release.folder for release in RELEASES[name])
    raise DataError(f"{path}: holds neither {wanted}")


def _decode(data: bytes, name: str, release: Release) -> Batch:
    if release.python:
        return python_batch(data, name, release.n_classes, release.key)
    return binary_batch(data, name, release.n_classes, release.label_bytes)


def _bytes(path: Path) -> bytes:
    return read_regular_file(path, MAX_MEMBER)


def _members(path: Path, release: Release) -> dict[str, bytes] | None:
    """The release's files from an archive, never unpacked to disk; None if it holds another one."""
    wanted = {f"{release.folder}/{file}": file for file in (*release.train, release.test)}
    found: dict[str, bytes] = {}
    with opened(path, MAX_MEMBER, MAX_ARCHIVE) as archive:
        for member in archive:
            file = wanted.get(member.name.removeprefix("./"))
            if file is not None and member.isfile():
                found[file] = archive.read(member)
    if not found:
        return None
    if missing := set(wanted.values()) - set(found):
        raise DataError(f"{path}: without {', '.join(sorted(missing))}; fetch it again")
    return found
