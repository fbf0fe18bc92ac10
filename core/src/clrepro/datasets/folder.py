"""Reader of images in folders, `train|test/CLASS/NAME.jpg`, from a zip file or from disk."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets.decode import MAX_IMAGE, decode, pillow
from clrepro.datasets.tar_files import folder_files
from clrepro.errors import DataError
from clrepro.io.regular_files import open_regular_file

# Encrypted members are a RuntimeError, unknown compressions its kin NotImplementedError; the rest is damage.
DAMAGE = (
    zipfile.BadZipFile, OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, ValueError, struct.error,
    OverflowError,
)  # fmt: skip
MAX_ARCHIVE = 1 << 31  # bytes of a zip file; the images of 60,000 JPEG files have 50 MB
ENDINGS = (".jpg", ".jpeg", ".png")
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_folder(path: Path, size: int) -> tuple[Part, Part]:
    """Returns ((x_train, y_train), (x_test, y_test)): images uint8 (n, size, size, 3), labels int64 (n,).

    Labels number the class folders in the order of their names; images come class by class, by name.
    Args: path — a zip file or a folder, with `train` and `test` in it; size — pixels per side of every image.
    Raises: DataError if Pillow or a part is missing, the two parts have other classes, or an image is damaged
    or of another size.
    """
    image = pillow(path)
    files = _zipped(path) if path.is_file() else folder_files(path, _is_image, MAX_IMAGE)
    parts: dict[str, dict[str, list[NDArray[np.uint8]]]] = {"train": {}, "test": {}}
    for name, data in files:
        *_, part, label, _ = ("", "", *name.split("/"))
        if part in parts:
            parts[part].setdefault(label, []).append(decode(image, data, f"{path}: {name}", size))
    if not parts["train"] or parts["train"].keys() != parts["test"].keys():
        raise DataError(
            f"{path}: classes {sorted(parts['train'])} to train and {sorted(parts['test'])} to test on; "
            "expected train/CLASS/NAME.jpg and test/CLASS/NAME.jpg with the same classes"
        )
    return _part(parts["train"]), _part(parts["test"])


def _part(classes: dict[str, list[NDArray[np.uint8]]]) -> Part:
    names = sorted(classes)
    labels = np.repeat(np.arange(len(names)), [len(classes[name]) for name in names])
    return np.stack([image for name in names for image in classes[name]]), labels


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with open_regular_file(path, MAX_ARCHIVE) as file, zipfile.ZipFile(file) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if _is_image(info.filename):
                    if info.file_size > MAX_IMAGE:
                        raise DataError(f"{path}: {info.filename} claims {info.file_size} bytes")
                    yield info.filename, archive.read(info)
    except DAMAGE as problem:
        raise DataError(f"{path}: not a readable zip file ({str(problem)[:160]})") from None


def _is_image(name: str) -> bool:
    return name.lower().endswith(ENDINGS)
