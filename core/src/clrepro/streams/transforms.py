"""Tasks made from one image set by moving pixels: rotations and permutations as index maps.

A pixel map is int64 (n_pixels,): output pixel p shows input pixel map[p], or black where map[p] is -1.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

PixelMap = NDArray[np.int64]


def rotation_map(angle_deg: float, side: int = 28) -> PixelMap:
    """Returns the map (side * side,) that rotates an image counter-clockwise about its centre, size kept.

    Nearest neighbour, black where the source lies outside; pixel centres at half-integers, rounding down, as
    Pillow's `Image.rotate(angle, NEAREST)`, whose fixed-point arithmetic may pick the other of two equally
    near pixels.
    Source: rotated-MNIST task generator of Lopez-Paz & Ranzato 2017.
    """
    angle = math.radians(angle_deg % 360)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    centre = side / 2
    row, column = np.divmod(np.arange(side * side), side)
    y, x = row + 0.5 - centre, column + 0.5 - centre
    # Pillow evaluates the inverse affine map: source = R(angle) @ (output - centre) + centre, y pointing
    # down.
    source_x = np.floor(cos * x - sin * y + centre).astype(np.int64)
    source_y = np.floor(sin * x + cos * y + centre).astype(np.int64)
    inside = (source_x >= 0) & (source_x < side) & (source_y >= 0) & (source_y < side)
    return np.where(inside, source_y * side + source_x, -1).astype(np.int64)


def permutation_map(n_pixels: int, rng: np.random.Generator) -> PixelMap:
    """Returns a uniformly random permutation of the pixels, int64 (n_pixels,)."""
    return rng.permutation(n_pixels).astype(np.int64)


def apply_map(x: NDArray[Any], pixel_map: PixelMap) -> NDArray[Any]:
    """Returns the images x (n, n_pixels) with their pixels moved; dtype as given.

    Raises: ValueError if the map names a pixel that the images do not have.
    """
    if x.ndim != 2 or pixel_map.min() < -1 or pixel_map.max() >= x.shape[1]:
        raise ValueError(
            f"images of shape {x.shape} and a map to pixels {pixel_map.min()}..{pixel_map.max()}"
        )
    out = x[:, np.maximum(pixel_map, 0)]
    out[:, pixel_map < 0] = 0
    return out
