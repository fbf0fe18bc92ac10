"""Reader of Caltech-UCSD Birds-200-2011: list files and JPEG images, packed or unpacked."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets.decode import MAX_IMAGE, decode, pillow
from clrepro.datasets.tar_files import read_files
from clrepro.errors import DataError

SIDE, N_CLASSES = 224, 200
MAX_IMAGES = 20_000  # the official lists name 11,788; each takes 150 kB
LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt")
MAX_ARCHIVE = 1 << 32
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_cub(path: Path) -> tuple[Part, Part]:
    """Returns ((x_train, y_train), (x_test, y_test)): images uint8 (n, 224, 224, 3), resized bilinearly, in
    the order of images.txt; labels 0 to 199; divided as train_test_split.txt says.

    Args: path — `CUB_200_2011.tgz`, or the folder with images.txt in it.
    Raises: DataError if a list or an image is missing or damaged.
    """
    image = pillow(path)
    lists = {name.split("/")[-1]: data for name, data in read_files(path, _is_list, MAX_IMAGE, MAX_ARCHIVE)}
    if missing := [name for name in LISTS if name not in lists]:
        raise DataError(f"{path}: without {', '.join(missing)}")
    names, labels, trains = (_table(lists[name], f"{path}: {name}") for name in LISTS)
    if not names.keys() == labels.keys() == trains.keys():
        raise DataError(f"{path}: the lists {', '.join(LISTS)} do not name the same images")
    if len(names) > MAX_IMAGES or len(set(names.values())) < len(names):
        raise DataError(f"{path}: {LISTS[0]} names too many images, or one twice")
    if wrong := set(trains.values()) - {"0", "1"}:
        raise DataError(f"{path}: {LISTS[2]} says {min(wrong)[:20]!r}; expected 0 or 1")
    y = np.array([_number(labels[key], f"{path}: {LISTS[1]}") for key in names]) - 1
    if len(y) == 0 or y.min() < 0 or y.max() >= N_CLASSES:
        raise DataError(f"{path}: labels outside of 1 to {N_CLASSES}")
    train = np.array([trains[key] == "1" for key in names])
    place = {name: number for number, name in enumerate(names.values())}
    x = np.zeros((len(y), SIDE, SIDE, 3), np.uint8)
    wanted = set(place)
    for name, data in read_files(path, lambda n: _short(n) in place, MAX_IMAGE, MAX_ARCHIVE):
        x[place[_short(name)]] = decode(image, data, f"{path}: {name}", SIDE, resize=True)
        wanted.discard(_short(name))
    if wanted:
        raise DataError(f"{path}: {len(wanted)} images are missing, e.g. {min(wanted)}")
    return (x[train], y[train]), (x[~train], y[~train])


def _is_list(name: str) -> bool:
    return name.split("/")[-1] in LISTS


def _short(name: str) -> str:
    """CLASS/FILE of .../images/CLASS/FILE."""
    return "/".join(name.split("/")[-2:])


def _table(data: bytes, name: str) -> dict[str, str]:
    """First word to second word of every line."""
    try:
        rows = [line.split() for line in data.decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"{name}: not a text file") from None
    if any(len(row) != 2 for row in rows):
        raise DataError(f"{name}: expected two words in every line")
    return {row[0]: row[1] for row in rows}


def _number(word: str, name: str) -> int:
    if not word.isdigit() or len(word) > 9:
        raise DataError(f"{name}: {word[:20]!r} is no number")
    return int(word)
