"""Reader of notMNIST (small): folders A to J of PNG images 28×28, packed or unpacked."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets.decode import MAX_IMAGE, decode, pillow
from clrepro.datasets.tar_files import read_files
from clrepro.errors import DataError

LETTERS = "ABCDEFGHIJ"
SIDE = 28
MAX_BROKEN = 5  # the official archive holds two files that are no images
TEST_SHARE = 0.1
SEED = 0  # of the division; the publisher gives none
MAX_ARCHIVE = 1 << 28
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_notmnist(path: Path) -> tuple[Part, Part]:
    """Returns ((x_train, y_train), (x_test, y_test)): images uint8 (n, 28, 28), labels int64, A = 0.

    A random tenth, always the same, is the test set.
    Args: path — `notMNIST_small.tar.gz`, or the folder that holds A to J.
    Raises: DataError if a letter is missing, or more files are damaged than in the official archive.
    """
    image = pillow(path)
    found: list[tuple[str, int, NDArray[np.uint8]]] = []
    broken: list[str] = []
    for name, data in read_files(path, _is_letter, MAX_IMAGE, MAX_ARCHIVE):
        try:
            found.append(
                (name, LETTERS.index(name.split("/")[-2]), decode(image, data, name, SIDE, grey=True))
            )
        except DataError as problem:
            broken.append(str(problem))
        if len(broken) > MAX_BROKEN:
            raise DataError(f"{path}: {len(broken)} or more damaged images, e.g. {broken[0]}; fetch it again")
    if missing := set(range(10)) - {label for _, label, _ in found}:
        raise DataError(f"{path}: no images of {', '.join(LETTERS[k] for k in sorted(missing))}")
    found.sort(key=lambda item: item[0])
    x, y = np.stack([pixels for _, _, pixels in found]), np.array([label for _, label, _ in found])
    order = np.random.default_rng(SEED).permutation(len(y))
    test, train = np.split(order, [int(TEST_SHARE * len(y))])
    return (x[train], y[train]), (x[test], y[test])


def _is_letter(name: str) -> bool:
    parts = name.split("/")
    return len(parts) >= 2 and len(parts[-2]) == 1 and parts[-2] in LETTERS and name.lower().endswith(".png")
