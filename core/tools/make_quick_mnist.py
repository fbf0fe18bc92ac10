"""Draw the embedded MNIST subset from the official files: 1,000 training and 200 test digits of every class.

    python core/tools/make_quick_mnist.py --data_dir DIR     (DIR holds mnist/*.gz)

The draw is fixed (SeedSequence 20181026, MER's month on arXiv) and the output is a pure function of the
official files, so running this again must give the same bytes; `clrepro.datasets.quick` holds their sha256.
Images are stored row by row; pixel-major and bit-plane orders were tried and come out 15 to 65 % larger.
"""

import argparse
import hashlib
import lzma
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets import load
from clrepro.datasets.quick import FILE

PER_CLASS = {"train": 1000, "test": 200}
FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "lc": 4,
        "lp": 0,
        "pb": 0,
        "dict_size": 1 << 24,
    }
]


def draw(labels: NDArray[np.int64], per_class: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns sorted indices int64 (10 * per_class,), the same number of every class."""
    indices = [rng.choice(np.flatnonzero(labels == digit), per_class, replace=False) for digit in range(10)]
    return np.sort(np.concatenate(indices))


def main() -> None:
    """Write the subset file and print its size and sha256."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    data = load("mnist", data_dir=args.data_dir)
    rng = np.random.default_rng(np.random.SeedSequence(20181026))
    train = draw(data.y_train, PER_CLASS["train"], rng)
    test = draw(data.y_test, PER_CLASS["test"], rng)
    images = np.concatenate([data.x_train[train], data.x_test[test]]).reshape(-1, 784)
    labels = np.concatenate([data.y_train[train], data.y_test[test]]).astype(np.uint8)
    body = labels.tobytes() + np.ascontiguousarray(images).tobytes()
    packed = lzma.compress(body, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=FILTERS)
    args.out.write_bytes(packed)
    print(f"{args.out}: {len(packed)} bytes, sha256 {hashlib.sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main()
