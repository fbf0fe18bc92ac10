"""Compiled A-GEM steps; `clrepro.engines.mlp.Trainer.agem_steps` is the public face and states the maths.

Neither gradient is ever built.  With layer inputs X and errors D of the rows of both batches, an inner
product of two gradients is sum_layers sum_ij (D_i . D_j) (X_i . X_j + 1), the 1 for the bias: a few hundred
short dot products in place of two vectors as long as the network.  The update adds one outer product per row.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg"
# Types are numba's: float32 arrays throughout, int64 scalars.

import numpy as np

from clrepro.engines.block import (
    ROWS,
    accumulate,
    add_outer,
    clear,
    four_dots,
    keep_where_positive,
    list_units,
    transpose,
)
from clrepro.engines.exact import compiled
from clrepro.engines.kernels import softmax_error


@compiled
def _take(index, value, count, picks, dense, first):
    """Write sparse rows `picks` into dense[first:], which holds zeros."""
    for i in range(picks.shape[0]):
        a, row = picks[i], dense[first + i]
        for k in range(count[a]):
            row[index[a, k]] = value[a, k]


@compiled
def _forward(theta, sizes, offsets, rows, first, group, unit, value, n_units, act, out):
    """Layer outputs of rows[first : first + 4] into act[l, out : out + 4], after ReLU in all layers but the
    last; unit, value, n_units [l, group] <- the inputs of layer l, its bias among them.
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
        below, at = above, out


@compiled
def forward_rows(theta, sizes, offsets, rows, unit, value, n_units, act, logits):
    """logits[i] <- the network's outputs for rows[i]; as many rows as fill groups of four."""
    top, classes = sizes.shape[0] - 2, sizes[sizes.shape[0] - 1]
    for first in range(0, rows.shape[0], ROWS):
        _forward(theta, sizes, offsets, rows, first, 0, unit, value, n_units, act, 0)
        for i in range(ROWS):
            for c in range(classes):
                logits[first + i, c] = act[top, i, c]


@compiled
def _backward(theta, sizes, offsets, n_rows, unit, value, turned, act, error):
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


@compiled
def _products(sizes, i, first, dense, act, error):
    """Inner products of the gradient of row i with those of the four rows from `first` on."""
    g0 = g1 = g2 = g3 = np.float64(0.0)
    for layer in range(sizes.shape[0] - 1):
        inputs = act[layer - 1] if layer else dense
        x0, x1, x2, x3 = four_dots(inputs, i * inputs.shape[1], sizes[layer], inputs, first)
        errors = error[layer]
        d0, d1, d2, d3 = four_dots(errors, i * errors.shape[1], sizes[layer + 1], errors, first)
        one = np.float32(1.0)
        g0 += np.float64(d0) * (x0 + one)
        g1 += np.float64(d1) * (x1 + one)
        g2 += np.float64(d2) * (x2 + one)
        g3 += np.float64(d3) * (x3 + one)
    return g0, g1, g2, g3


@compiled
def _gram(sizes, n, m, dense, act, error, out):
    """out[1:] <- g.r, r.r, g.g, where g sums the gradients of the first n rows and r those of the m after."""
    for i in range(n + m):
        for first in range(0, i + 1, ROWS):
            four = _products(sizes, i, first, dense, act, error)
            for r in range(ROWS):
                j = first + r
                if j > i:
                    break
                if j < n <= i:
                    out[1] += four[r]
                else:
                    out[3 if i < n else 2] += four[r] if i == j else 2.0 * four[r]


@compiled
def _update(theta, sizes, offsets, n_rows, unit, value, n_units, error, step):
    """theta += sum_i step[i] * gradient of row i."""
    for layer in range(sizes.shape[0] - 1):
        for group in range(n_rows // ROWS):
            lists = unit[layer, group], value[layer, group], n_units[layer, group]
            add_outer(theta, offsets[layer], sizes[layer + 1], *lists, error[layer], ROWS * group, step)


@compiled
def agem_steps(
    theta, sizes, offsets, index, value, count, label, picks,
    m_index, m_value, m_count, m_label, m_picks, rate,
    dense, units, values, n_units, back_unit, back_value, turned, act, error, step, out,
):  # fmt: skip
    """For every batch b: theta <- theta - rate * (g - min(g.r, 0) / r.r * r); out[b] <- mean loss of the
    batch, g.r, r.r, g.g.
    """
    n, m, top = picks.shape[1], m_picks.shape[1], sizes.shape[0] - 2
    used = (n + m + ROWS - 1) // ROWS * ROWS
    width = sizes[top + 1]
    for b in range(picks.shape[0]):
        dense[:] = 0.0
        _take(index, value, count, picks[b], dense, 0)
        _take(m_index, m_value, m_count, m_picks[b], dense, n)
        for group in range(used // ROWS):
            first = ROWS * group
            _forward(theta, sizes, offsets, dense, first, group, units, values, n_units, act, first)
        out[b] = 0.0
        error[top] = 0.0  # rows that only fill up a group stay so
        for i in range(n + m):
            delta = error[top, i, :width]
            delta[:] = act[top, i, :width]
            mine = i < n
            target = label[picks[b, i]] if mine else m_label[m_picks[b, i - n]]
            loss = softmax_error(delta, target, np.float32(1.0) / np.float32(n if mine else m))
            if mine:
                out[b, 0] += loss / n
        _backward(theta, sizes, offsets, used, back_unit, back_value, turned, act, error)
        step[:] = 0.0
        step[:n] = -rate
        if m:
            _gram(sizes, n, m, dense, act, error, out[b])
            if out[b, 1] < 0.0 and out[b, 2] > 0.0:
                step[n : n + m] = np.float32(rate * (out[b, 1] / out[b, 2]))
        last = used if step[n] else (n + ROWS - 1) // ROWS * ROWS
        _update(theta, sizes, offsets, last, units, values, n_units, error, step)
