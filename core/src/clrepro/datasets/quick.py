"""The embedded MNIST subset: real digits without a download, drawn by core/tools/make_quick_mnist.py."""

import hashlib
import lzma
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io.regular_files import read_regular_file

FILE = Path(__file__).with_name("_embedded") / "mnist_quick.xz"
SHA256 = "f1a9aba1c7075deb26e653d966a12b704a157b8b684ab4668c2d134d2e2e870b"
MAX_FILE = 1 << 23
N_TRAIN, N_TEST, N_PIXELS = 10_000, 2_000, 784


def read_quick() -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """Returns (x_train uint8 (10000, 28, 28), y_train int64, x_test uint8 (2000, 28, 28), y_test int64).

    Raises: DataError if the shipped file is missing or changed.
    """
    try:
        packed = read_regular_file(FILE, MAX_FILE)
    except DataError as problem:
        raise DataError(f"{problem}; install cl-repro again for its embedded digits") from None
    if hashlib.sha256(packed).hexdigest() != SHA256:
        raise DataError(f"{FILE}: the embedded digits are damaged (wrong sha256); install cl-repro again")
    body = np.frombuffer(lzma.decompress(packed, format=lzma.FORMAT_XZ), np.uint8)
    n = N_TRAIN + N_TEST
    labels = body[:n].astype(np.int64)
    images = body[n:].reshape(n, 28, 28).copy()
    return images[:N_TRAIN], labels[:N_TRAIN], images[N_TRAIN:], labels[N_TRAIN:]
