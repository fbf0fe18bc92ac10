"""Pixel maps: identities of rotation, permutations, and the imaging library's own rotation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro.streams import apply_map, permutation_map, rotation_map


def numbered(side):
    """An image whose pixels name themselves, none of them black."""
    return np.arange(1, side * side + 1, dtype=np.int64)[None]


@pytest.mark.parametrize("side", [1, 7, 8, 28, 32])
def test_whole_turns_and_half_turns(side):
    x = numbered(side)
    np.testing.assert_array_equal(apply_map(x, rotation_map(0, side)), x)
    np.testing.assert_array_equal(apply_map(x, rotation_map(360, side)), x)
    half = apply_map(x, rotation_map(180, side)).reshape(side, side)
    np.testing.assert_array_equal(half, x.reshape(side, side)[::-1, ::-1])


@pytest.mark.parametrize("side", [7, 8, 28])
def test_a_quarter_turn_is_counter_clockwise_and_four_make_one(side):
    x = numbered(side)
    quarter = rotation_map(90, side)
    np.testing.assert_array_equal(apply_map(x, quarter).reshape(side, side), np.rot90(x.reshape(side, side)))
    for _ in range(4):
        x = apply_map(x, quarter)
    np.testing.assert_array_equal(x, numbered(side))


@given(st.floats(-720, 720), st.sampled_from([8, 28]))
def test_every_angle_keeps_the_size_and_names_real_pixels(angle, side):
    pixels = rotation_map(angle, side)
    assert pixels.shape == (side * side,)
    assert pixels.min() >= -1
    assert pixels.max() < side * side
    # The disc inside the image never leaves it.
    row, column = np.divmod(np.arange(side * side), side)
    inside = np.hypot(row + 0.5 - side / 2, column + 0.5 - side / 2) < side / 2 - 1
    assert (pixels[inside] >= 0).all()


@pytest.mark.parametrize("side", [28, 32])
def test_rotation_is_the_imaging_librarys_but_for_ties(side):
    """Where two pixels are equally near, its fixed-point arithmetic may take the other: the coefficients are
    rounded to 2^-17, at most side/2 of them are added along each axis.
    """
    image = pytest.importorskip("PIL.Image")
    x = numbered(side).astype(np.int32)
    for angle in np.linspace(-180, 360, 109):
        theirs = np.asarray(image.fromarray(x.reshape(side, side)).rotate(angle)).ravel()
        ours = apply_map(x, rotation_map(angle, side))[0]
        for pixel in np.flatnonzero(theirs != ours):
            assert near_boundary(angle, pixel, side) < side * 2.0**-16, (angle, pixel)


def near_boundary(angle, pixel, side):
    """Distance of the source point of an output pixel from the nearest pixel border."""
    turn, (row, column) = np.radians(angle), divmod(pixel, side)
    y, x = row + 0.5 - side / 2, column + 0.5 - side / 2
    source = np.array([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y]) + side / 2
    return np.abs(source - np.round(source)).min()


def test_permutations_move_every_pixel_once_and_depend_on_the_generator():
    a, b, c = (permutation_map(784, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert sorted(a) == list(range(784))
    assert (a == b).all()
    assert (a != c).any()


def test_applying_a_map_shows_black_where_there_is_no_source():
    x = np.array([[5, 6, 7]], np.uint8)
    out = apply_map(x, np.array([2, -1, 0]))
    assert out.tolist() == [[7, 0, 5]]
    assert out.dtype == np.uint8
    assert x.tolist() == [[5, 6, 7]]
    for bad in ([3, 0, 0], [-2, 0, 0]):
        with pytest.raises(ValueError, match="a map to pixels"):
            apply_map(x, np.array(bad))
    with pytest.raises(ValueError, match="images of shape"):
        apply_map(x[0], np.array([0, 1, 2]))
