"""Coloured gratings: the offline stand-in for CIFAR, made on the spot and always the same.

A class is an orientation, a spatial frequency and a hue; phase, contrast and noise differ by image.
"""

import colorsys
import hashlib

import numpy as np
from numpy.typing import NDArray

SIDE, TRAIN, TEST = 16, 300, 60  # pixels; images per class
CLASSES = (10, 30)


def textures(
    n_classes: int,
) -> tuple[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]], dict[str, str]]:
    """Returns (x_train uint8 (n, 16, 16, 3), y_train, x_test, y_test) and the sha256 of all of it."""
    rng = np.random.default_rng(n_classes)
    sets = []
    for per_class in (TRAIN, TEST):
        images = [_grating(label, n_classes, per_class, rng) for label in range(n_classes)]
        order = rng.permutation(n_classes * per_class)
        labels = np.repeat(np.arange(n_classes), per_class)
        sets.append((np.concatenate(images)[order], labels[order]))
    (x, y), (x_test, y_test) = sets
    digest = hashlib.sha256(x.tobytes() + y.tobytes() + x_test.tobytes() + y_test.tobytes()).hexdigest()
    return (x, y, x_test, y_test), {f"textures{n_classes}": digest}


def _grating(label: int, n_classes: int, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns uint8 (count, 16, 16, 3) images of one class."""
    # Steps without common divisor, so that no single cue tells the classes apart.
    angle = np.pi * (3 * label % n_classes) / n_classes
    frequency = 0.08 + 0.14 * (label * 7 % n_classes) / n_classes
    hue = np.array(colorsys.hsv_to_rgb((label * 9 % n_classes) / n_classes, 0.6, 1.0))
    row, column = np.mgrid[0:SIDE, 0:SIDE]
    turn = angle + rng.normal(0, 0.08, (count, 1, 1))
    wave = frequency * (column * np.cos(turn) + row * np.sin(turn)) + rng.random((count, 1, 1))
    grey = 0.5 + rng.uniform(0.2, 0.45, (count, 1, 1)) * np.sin(2 * np.pi * wave)
    colour = hue + rng.normal(0, 0.12, (count, 3))
    images = grey[..., None] * colour[:, None, None, :] + rng.normal(0, 0.12, (count, SIDE, SIDE, 3))
    pixels: NDArray[np.uint8] = np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
    return pixels
