"""The readers of data sets, each with a valid file."""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from faults.reader_case import ERRORS, EVIDENCE, Subject, write


def data_sets() -> Iterator[Subject]:
    from clrepro.datasets.cifar import read_cifar
    from clrepro.datasets.folder import read_folder
    from clrepro.datasets.idx import read_idx
    from clrepro.datasets.svhn import read_svhn

    idx = (
        b"\0\0\x08\x03" + (5).to_bytes(4, "big") + (8).to_bytes(4, "big") * 2 + bytes(range(256)) + bytes(64)
    )

    def svhn(folder: Path) -> Path:
        from scipy.io import savemat

        x, y = (
            np.arange(32 * 32 * 3 * 4, dtype=np.uint8).reshape(32, 32, 3, 4),
            np.array([[1], [2], [10], [3]], np.uint8),
        )
        savemat(folder / "train_32x32.mat", {"X": x, "y": y}, do_compression=True)
        return folder / "train_32x32.mat"

    yield Subject("idx files", lambda folder: write(folder / "images", idx), read_idx, EVIDENCE, ERRORS)

    def packed(folder: Path, data: bytes = idx) -> Path:
        return write(folder / "images.gz", gzip.compress(data, mtime=0))

    yield Subject("idx files, gz", packed, read_idx, EVIDENCE, ERRORS, packed)
    yield Subject("svhn", svhn, read_svhn, EVIDENCE, ERRORS)
    yield Subject("cifar, binary tar", lambda folder: _cifar(folder, python=False),
                  lambda path: read_cifar(path, "cifar10"), EVIDENCE, ERRORS)  # fmt: skip
    yield Subject("cifar, python tar", lambda folder: _cifar(folder, python=True),
                  lambda path: read_cifar(path, "cifar10"), EVIDENCE, ERRORS,
                  lambda folder, data: _cifar(folder, python=True, payload=data))  # fmt: skip
    yield Subject(
        "cifar, a file", _cifar_file, lambda path: read_cifar(path.parent, "cifar10"), EVIDENCE, ERRORS
    )
    yield Subject(
        "images in a zip", _pictures, lambda path: read_folder(path, 32), EVIDENCE, ERRORS, _pictures
    )
    yield from _archives()


def _cifar(folder: Path, python: bool, payload: bytes | None = None) -> Path:
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    path = folder / "cifar-10.tar.gz"
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for i, name in enumerate(names):
            pixels = np.full((2, 3072), i, np.uint8)
            if python:
                data = (
                    payload
                    if payload is not None and i == 0
                    else pickle.dumps({"data": pixels, "labels": [i, 1]}, 2)
                )
                inner = f"cifar-10-batches-py/{name}"
            else:
                data, inner = (
                    b"".join(bytes([i]) + row.tobytes() for row in pixels),
                    f"cifar-10-batches-bin/{name}.bin",
                )
            info = tarfile.TarInfo(inner)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _cifar_file(folder: Path) -> Path:
    with tarfile.open(_cifar(folder / "packed", python=True)) as archive:
        archive.extractall(folder, filter="data")
    for path in (folder / "cifar-10-batches-py").iterdir():
        path.rename(folder / path.name)
    (folder / "cifar-10-batches-py").rmdir()
    return folder / "data_batch_1"


def picture(size: int, value: int, form: str = "PNG") -> bytes:
    """A small image file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).convert("RGB").save(buffer, form)
    return buffer.getvalue()


def _pictures(folder: Path, payload: bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for i, name in enumerate(("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png")):
            archive.writestr(name, payload if payload is not None and i == 0 else picture(32, i))
    return folder / "images.zip"


def _archives() -> Iterator[Subject]:
    from clrepro.datasets import mini_imagenet, notmnist
    from clrepro.datasets.cub import LISTS, read_cub

    def letters(folder: Path, payload: bytes | None = None) -> Path:
        members = {
            f"notMNIST_small/{letter}/{i}.png": picture(28, i)
            for letter in notmnist.LETTERS
            for i in range(3)
        }
        members["notMNIST_small/A/0.png"] = (
            payload if payload is not None else members["notMNIST_small/A/0.png"]
        )
        return write(folder / "notMNIST_small.tar.gz", _targz(members))

    def birds(folder: Path, payload: bytes | None = None) -> Path:
        lists = ("1 001.A/a.jpg\n2 002.B/b.jpg\n", "1 1\n2 2\n", "1 1\n2 0\n")
        members = {f"CUB_200_2011/{name}": text.encode() for name, text in zip(LISTS, lists, strict=True)}
        members["CUB_200_2011/images/001.A/a.jpg"] = (
            payload if payload is not None else picture(40, 7, "JPEG")
        )
        members["CUB_200_2011/images/002.B/b.jpg"] = picture(50, 9, "JPEG")
        return write(folder / "CUB_200_2011.tgz", _targz(members))

    def caches(folder: Path) -> Path:
        for part in mini_imagenet.PARTS:
            images = np.arange(3 * 84 * 84 * 3, dtype=np.uint8).reshape(3, 84, 84, 3)
            write(folder / part, pickle.dumps({"image_data": images, "class_dict": {"n1": [0, 1, 2]}}, 4))
        return folder / "train"

    def read_caches(path: Path) -> Any:
        """The reader with one class of three images, not 100 of 600: the official files have 1.3 GB."""
        saved = mini_imagenet.PER_CLASS, mini_imagenet.TRAIN_PER_CLASS, dict(mini_imagenet.PARTS)
        mini_imagenet.PER_CLASS, mini_imagenet.TRAIN_PER_CLASS = 3, 2
        mini_imagenet.PARTS.update(dict.fromkeys(saved[2], 1))
        try:
            return mini_imagenet.read_mini_imagenet({part: path.parent / part for part in saved[2]})
        finally:
            mini_imagenet.PER_CLASS, mini_imagenet.TRAIN_PER_CLASS = saved[:2]
            mini_imagenet.PARTS.update(saved[2])

    yield Subject("notmnist", letters, notmnist.read_notmnist, EVIDENCE, ERRORS, letters)
    yield Subject("cub", birds, read_cub, EVIDENCE, ERRORS, birds)
    yield Subject("mini-imagenet", caches, read_caches, EVIDENCE, ERRORS)


def _targz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
