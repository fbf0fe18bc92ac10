"""Reader of the cropped SVHN digits, `train_32x32.mat` and `test_32x32.mat`."""

from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io.regular_files import check_regular_file

MAX_FILE = 1 << 29
MAX_VALUES = 1 << 31  # the largest official file has 531,131 images of 3,072 values
KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "double", "")


def read_svhn(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns images uint8 (n, 32, 32, 3) and labels int64 (n,) of one file; its label 10 is the digit 0.

    Raises: DataError if the file cannot be read or holds anything else.
    """
    from scipy.io import loadmat, whosmat

    try:
        check_regular_file(path, MAX_FILE)
        # Shapes first: a packed file may ask for any memory, and other kinds of content nest without end.
        found = {name: (prod(shape), kind) for name, shape, kind in whosmat(path)}
        if any(
            size > MAX_VALUES or kind not in KINDS
            for size, kind in (found.get(n, (0, "")) for n in ("X", "y"))
        ):
            raise DataError(f"{path}: no images 'X' and labels 'y' of any SVHN file")
        content = loadmat(path, variable_names=["X", "y"])
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem})") from None
    except DataError:
        raise
    except Exception as problem:  # the reader meets damage with almost any kind of error
        raise DataError(f"{path}: not a readable MAT file ({' '.join(str(problem).split())[:120]})") from None
    x, y = content.get("X"), content.get("y")
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != (32, 32, 3):
        raise DataError(f"{path}: no images 'X' uint8 (32, 32, 3, n)")
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iu" or y.size != x.shape[3] or not y.size:
        raise DataError(f"{path}: no labels 'y', one for each of {x.shape[3]} images")
    labels = y.reshape(-1).astype(np.int64)
    if labels.min() < 1 or labels.max() > 10:
        raise DataError(f"{path}: labels {labels.min()} to {labels.max()}; expected 1 to 10")
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2)), labels % 10
