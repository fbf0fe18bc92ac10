"""Convolutions 3×3 and 1×1 with step 1 or 2 as tiles, on float32 images with their channels last.

A row of pixels lies in memory as one run, so for each row of the kernel the numbers that a pixel needs are
one run too, and a few pixels side by side times all weights of that row is one small matrix product
(`tiles.tile`).
Images come with a border of zeros of k // 2 pixels (`bordered`).  Measured at 150 to 190 GFLOP/s where oneDNN
reaches 70 to 130 on these narrow layers and copies every weight there and back.

Weights of a product: (blocks, k, k, inputs, 16 vectors): outputs in blocks of at most 80, filled up with
zeros to whole vectors.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg"
# Types are numba's: flat float32 arrays, int64 sizes.

import numpy as np

from clrepro.kernels.deterministic_math import compiled
from tag_repro.networks.tiles import LANES, tile_of

BLOCK = 80  # five vectors
WIDTHS = (20, 40, 80, 160)  # outputs that a product may have
_ZERO = np.float32(0)
_TILE_1_2_4 = tile_of(1, 2, 4)
_TILE_1_3_8 = tile_of(1, 3, 8)
_TILE_1_5_16 = tile_of(1, 5, 16)
_TILE_4_5_16 = tile_of(4, 5, 16)
_TILE_5_1_9 = tile_of(5, 1, 9)
_TILE_5_2_4 = tile_of(5, 2, 4)
_TILE_5_3_8 = tile_of(5, 3, 8)
_TILE_5_4_12 = tile_of(5, 4, 12)
_TILE_5_5_16 = tile_of(5, 5, 16)
_TILE_8_2_4 = tile_of(8, 2, 4)
_TILE_8_3_8 = tile_of(8, 3, 8)


@compiled
def _vectors(width):
    """Vectors of one block of outputs."""
    return (min(width, BLOCK) + LANES - 1) // LANES


@compiled
def bordered(x, n, height, width, channels, border):
    """Returns the images with a border of zeros."""
    if border == 0:
        return x
    wide, tall = width + 2 * border, height + 2 * border
    out = np.empty(n * tall * wide * channels, np.float32)
    side, run = border * channels, width * channels
    for image in range(n):
        for row in range(tall):
            to = out[(image * tall + row) * wide * channels :][: wide * channels]
            if row < border or row >= tall - border:
                to[:] = _ZERO
            else:
                start = (image * height + row - border) * run
                to[:side] = _ZERO
                to[side : side + run] = x[start : start + run]
                to[side + run :] = _ZERO
    return out


@compiled
def _strided(x, start, step, out):
    """out <- every step-th number of x from start on."""
    at = start
    for j in range(out.shape[0]):
        out[j] = x[at]
        at += step


@compiled
def forward_weights(weight):
    """Returns a weight (outputs, inputs, k, k) for the product forwards."""
    outputs, inputs, k, _ = weight.shape
    lanes, size, taps = _vectors(outputs) * LANES, min(outputs, BLOCK), k * k
    flat, out = weight.reshape(weight.size), np.zeros(outputs // size * taps * inputs * lanes, np.float32)
    for block in range(outputs // size):
        for i in range(inputs):
            for tap in range(taps):
                to = ((block * taps + tap) * inputs + i) * lanes
                start = (block * size * inputs + i) * taps + tap
                _strided(flat, start, inputs * taps, out[to : to + size])
    return out


@compiled
def backward_weights(weight, rows, columns):
    """Returns a weight (outputs, inputs, k, k) for the product backwards, of chosen rows and columns in the
    given order.
    """
    outputs, inputs, k, _ = weight.shape
    lanes, size, taps = _vectors(inputs) * LANES, min(inputs, BLOCK), rows.shape[0] * columns.shape[0]
    flat, out = weight.reshape(weight.size), np.zeros(inputs // size * taps * outputs * lanes, np.float32)
    for o in range(outputs):
        for a in range(rows.shape[0]):
            for b in range(columns.shape[0]):
                tap = a * columns.shape[0] + b
                for block in range(inputs // size):
                    to = ((block * taps + tap) * outputs + o) * lanes
                    start = (o * inputs + block * size) * k * k + rows[a] * k + columns[b]
                    _strided(flat, start, k * k, out[to : to + size])
    return out


@compiled
def _pixels(together, width, counts, x, x_at, x_steps, weights, w_at, w_steps, out, out_at, out_step):
    """One block of outputs of one pixel, or of as many side by side as `_together` says."""
    one = (counts, x, x_at, x_steps, weights, w_at, w_steps, out, out_at, out_step)
    if width == 20 and together:
        _TILE_8_2_4(*one)
    elif width == 20:
        _TILE_1_2_4(*one)
    elif width == 40 and together:
        _TILE_8_3_8(*one)
    elif width == 40:
        _TILE_1_3_8(*one)
    elif together:
        _TILE_4_5_16(*one)
    else:
        _TILE_1_5_16(*one)


@compiled
def _together(width):
    return 8 if width < BLOCK else 4


@compiled
def product(x, n, tall, wide, channels, weights, rows, columns, step, outputs, out, geometry):
    """out[pixel] <- sum over rows and columns of x[pixel · step + (row, column)] weights.

    Args: x — n images (tall, wide, channels); geometry — (pixels down, pixels across, x's first row and
        column, out's rows and columns, out's first row and column, and steps between pixels).
    """
    down, across, x_row, x_column, out_tall, out_wide, out_row, out_column, out_step = geometry
    size, many = min(outputs, BLOCK), _together(outputs)
    run, lanes = columns * channels, _vectors(outputs) * LANES
    counts, x_steps = (1, rows, run), (0, wide * channels, 1, step * channels)
    w_steps, to_step = (0, run * lanes, lanes), out_step * outputs
    for block in range(outputs // size):
        w_at = block * rows * run * lanes
        for image in range(n):
            for row in range(down):
                x_at = ((image * tall + x_row + row * step) * wide + x_column) * channels
                to = ((image * out_tall + out_row + row * out_step) * out_wide + out_column) * outputs
                to += block * size
                column = 0
                while column < across:
                    together = column + many <= across
                    _pixels(
                        together, outputs, counts, x, x_at + column * step * channels, x_steps,
                        weights, w_at, w_steps, out, to + column * to_step, to_step,
                    )  # fmt: skip
                    column += many if together else 1


@compiled
def forward(x, n, height, width, weight, step):
    """Returns the convolution of bordered images, flat (n, rows, columns, outputs); height and width without
    the border.
    """
    outputs, inputs, k, _ = weight.shape
    border = k // 2
    down, across = (height + step - 1) // step, (width + step - 1) // step
    out = np.empty(n * down * across * outputs, np.float32)
    geometry = (down, across, 0, 0, down, across, 0, 0, 1)
    tall, wide = height + 2 * border, width + 2 * border
    product(x, n, tall, wide, inputs, forward_weights(weight), k, k, step, outputs, out, geometry)
    return out


@compiled
def input_gradient(g, n, height, width, weight, step):
    """Returns the gradient of a convolution's input, flat (n, height, width, inputs), of that of its output,
    g (n, rows, columns, outputs).
    """
    outputs, inputs, k, _ = weight.shape
    down, across = (height + step - 1) // step, (width + step - 1) // step
    g = bordered(g, n, down, across, outputs, k // 2)
    tall, wide = down + 2 * (k // 2), across + 2 * (k // 2)
    if step == 1:
        turned = np.arange(k - 1, -1, -1)
        out = np.empty(n * height * width * inputs, np.float32)
        weights, geometry = (
            backward_weights(weight, turned, turned),
            (height, width, 0, 0, height, width, 0, 0, 1),
        )
        product(g, n, tall, wide, outputs, weights, k, k, 1, inputs, out, geometry)
        return out
    # With a step of 2 a pixel of even row got only the kernel's middle row, one of odd row only the outer
    # two.
    out = np.zeros(n * height * width * inputs, np.float32)
    for odd_row in range(2 if k == 3 else 1):
        for odd_column in range(2 if k == 3 else 1):
            rows, columns = _taps(k, odd_row), _taps(k, odd_column)
            first = k // 2
            geometry = ((height + 1 - odd_row) // 2, (width + 1 - odd_column) // 2, first, first,
                        height, width, odd_row, odd_column, 2)  # fmt: skip
            weights = backward_weights(weight, rows, columns)
            product(
                g, n, tall, wide, outputs, weights, rows.shape[0], columns.shape[0], 1, inputs, out, geometry
            )
    return out


@compiled
def _taps(k, odd):
    """The kernel's rows that an even or odd row of the input met, in the order of the output's rows."""
    if k == 1:
        return np.array([0])
    return np.array([2, 0]) if odd else np.array([1])


@compiled
def _rows_of_weight(width, counts, g, g_at, g_steps, x, x_at, x_steps, out, out_at, out_step):
    """Five outputs times up to 80 numbers of a kernel's row."""
    one = (counts, g, g_at, g_steps, x, x_at, x_steps, out, out_at, out_step)
    if width == 80:
        _TILE_5_5_16(*one)
    elif width == 60:
        _TILE_5_4_12(*one)
    elif width == 40:
        _TILE_5_3_8(*one)
    elif width == 20:
        _TILE_5_2_4(*one)
    else:
        _TILE_5_1_9(*one)


@compiled
def weight_gradient(x, n, height, width, inputs, g, outputs, k, step):
    """Returns the gradient of a convolution's weight (outputs, inputs, k, k), of bordered images x and of the
    output's gradient g.
    """
    down, across = (height + step - 1) // step, (width + step - 1) // step
    tall, wide, run = height + 2 * (k // 2), width + 2 * (k // 2), k * inputs
    found = np.empty(outputs * k * run, np.float32)
    counts, g_steps = (n, down, across), (down * across * outputs, across * outputs, outputs, 1)
    x_steps = (tall * wide * inputs, step * wide * inputs, step * inputs)
    for row in range(k):
        for first in range(0, run, BLOCK):
            for o in range(0, outputs, 5):
                _rows_of_weight(
                    min(BLOCK, run - first), counts, g, o, g_steps, x, row * wide * inputs + first, x_steps,
                    found, (o * k + row) * run + first, k * run,
                )  # fmt: skip
    out = np.empty(outputs * inputs * k * k, np.float32)
    for o in range(outputs):
        for i in range(inputs):
            to = (o * inputs + i) * k * k
            _strided(found, o * k * run + i, inputs, out[to : to + k * k])
    return out.reshape((outputs, inputs, k, k))
