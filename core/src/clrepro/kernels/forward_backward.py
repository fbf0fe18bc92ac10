"""Compiled passes of a batch through a ReLU MLP, rows in groups of four (see `clrepro.kernels.row_tiles`).

Work space of a batch: dense (rows, inputs); act, error (layers, rows, width); for every layer and group the
units in use, their values and their number; step (rows), the factor of a row's gradient in the update.
`scale` (hidden layers, rows, width) multiplies what leaves the hidden layers, 0 for a dropped unit; with no
layers it is not used.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg"
# Types are numba's: float32 arrays throughout, int64 scalars.

from clrepro.kernels.deterministic_math import compiled
from clrepro.kernels.row_tiles import (
    ROWS,
    accumulate,
    add_outer,
    clear,
    keep_where_positive,
    list_units,
    multiply,
    transpose,
)


@compiled
def take(index, value, count, indices, dense, first):
    """Write sparse rows `indices` into dense[first:], which holds zeros."""
    for i in range(indices.shape[0]):
        a, row = indices[i], dense[first + i]
        for k in range(count[a]):
            row[index[a, k]] = value[a, k]


@compiled
def forward(theta, sizes, offsets, rows, first, group, unit, value, n_units, act, out, scale):
    """Layer outputs of rows[first : first + 4] into act[l, out : out + 4], after ReLU and scale in all layers
    but the last; unit, value, n_units [l, group] <- the inputs of layer l, its bias among them.
    """
    top = sizes.shape[0] - 2
    below, at = rows, first
    for layer in range(top + 1):
        units, values, above = unit[layer, group], value[layer, group], act[layer]
        n = list_units(below, at, sizes[layer], True, units, values)
        n_units[layer, group] = n
        clear(above, out)
        accumulate(theta, offsets[layer], sizes[layer + 1], units, values, n, above, out)
        if layer < top:
            keep_where_positive(above, above, out)
            if scale.shape[0]:
                multiply(above, scale[layer], out)
        below, at = above, out


@compiled
def forward_rows(theta, sizes, offsets, rows, unit, value, n_units, act, scale, logits):
    """logits[i] <- the network's outputs for rows[i]; as many rows as fill groups of four."""
    top, classes = sizes.shape[0] - 2, sizes[sizes.shape[0] - 1]
    for first in range(0, rows.shape[0], ROWS):
        forward(theta, sizes, offsets, rows, first, 0, unit, value, n_units, act, 0, scale)
        for i in range(ROWS):
            for c in range(classes):
                logits[first + i, c] = act[top, i, c]


@compiled
def backward(theta, sizes, offsets, n_rows, unit, value, turned, act, error, scale):
    """error[l] <- gradient of the loss for the output of layer l, from error[top] downwards."""
    for layer in range(sizes.shape[0] - 2, 0, -1):
        n_in, width, below = sizes[layer], sizes[layer + 1], error[layer - 1]
        stride = below.shape[1]
        transpose(theta, offsets[layer], n_in, width, turned)
        for first in range(0, n_rows, ROWS):
            n = list_units(error[layer], first, width, False, unit, value)
            clear(below, first)
            accumulate(turned, 0, stride, unit, value, n, below, first)
            keep_where_positive(act[layer - 1], below, first)
            if scale.shape[0]:
                multiply(below, scale[layer - 1], first)


@compiled
def update(theta, sizes, offsets, n_rows, unit, value, n_units, error, step):
    """theta += sum_i step[i] * gradient of row i."""
    for layer in range(sizes.shape[0] - 1):
        for group in range(n_rows // ROWS):
            lists = unit[layer, group], value[layer, group], n_units[layer, group]
            add_outer(theta, offsets[layer], sizes[layer + 1], *lists, error[layer], ROWS * group, step)
