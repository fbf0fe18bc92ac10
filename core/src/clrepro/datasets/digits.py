"""scikit-learn's bundled digits: 1,797 real images of 8×8 pixels that come with a package."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError

N_TRAIN, N_CLASSES = 1400, 10
LICENCE = "CC BY 4.0 (Alpaydin, Kaynak; UCI)"
Arrays = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]


def read_digits() -> tuple[Arrays, dict[str, str]]:
    """Returns (x_train uint8 (1400, 8, 8), y_train int64, x_test uint8 (397, 8, 8), y_test) and their sha256.

    Shuffled once for all: the bundled file goes from writer to writer.
    Raises: DataError if scikit-learn is missing.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise DataError("digits come with scikit-learn; run 'pip install scikit-learn'") from None
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    # Grey levels 0 to 16 become bytes, as every other data set has them.
    x = np.round(bunch.data[order] * (255 / 16)).astype(np.uint8)
    y = bunch.target[order].astype(np.int64)
    checksums = {"digits": hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()}
    x = x.reshape(-1, 8, 8)
    return (x[:N_TRAIN], y[:N_TRAIN], x[N_TRAIN:], y[N_TRAIN:]), checksums
