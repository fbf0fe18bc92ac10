"""A seeded set of synthetic pictures for the convolutional programs where no data set is at hand.

Every class has one smooth random picture; an image is that picture with noise.  Always reported as *quick*.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clrepro.streams.tasks import Split

SIDE, COARSE, CHANNELS = 32, 4, 3
TRAIN, TEST = 250, 50  # images of each class
CONTRAST, NOISE = 40.0, 60.0  # grey levels; the noise is of every pixel alone
SEED = 0  # the set is one fixed set, whatever the seed of a run


def prototype_images(n_classes: int) -> tuple[Split, dict[str, str]]:
    """Returns (x_train uint8 (250 C, 3072), y_train int64, x_test (50 C, 3072), y_test) and their sha256.

    Images are flat, channels first, as `tag_repro.task_stream.load_split` gives those of CIFAR-100; the first
    classes are the same ones for every number of classes.
    """
    parts = [_of_class(label) for label in range(n_classes)]
    labels = np.arange(n_classes)
    split = (
        np.concatenate([x[:TRAIN] for x in parts]), np.repeat(labels, TRAIN),
        np.concatenate([x[TRAIN:] for x in parts]), np.repeat(labels, TEST),
    )  # fmt: skip
    digest = hashlib.sha256(b"".join(array.tobytes() for array in split)).hexdigest()
    return split, {f"prototypes-{n_classes}": digest}


def _of_class(label: int) -> NDArray[np.uint8]:
    """All images of a class, uint8 (300, 3072)."""
    rng = np.random.default_rng([SEED, label])
    field = rng.normal(size=(CHANNELS, COARSE, COARSE))
    smooth = ndimage.zoom(field, (1, SIDE // COARSE, SIDE // COARSE), order=3, mode="nearest")
    noise = rng.normal(size=(TRAIN + TEST, CHANNELS, SIDE, SIDE))
    grey = np.clip(np.round(128 + CONTRAST * smooth + NOISE * noise), 0, 255)
    return np.asarray(grey, np.uint8).reshape(TRAIN + TEST, -1)
