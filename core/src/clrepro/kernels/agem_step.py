"""Compiled A-GEM steps; `clrepro.kernels.batch.BatchTrainer.agem_steps` is the public face.

Neither gradient is ever built.  With layer inputs X and errors D of the rows of both batches, an inner
product of two gradients is sum_layers sum_ij (D_i . D_j) (X_i . X_j + 1), the 1 for the bias: a few hundred
short dot products in place of two vectors as long as the network.  The update adds one outer product per row.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg"
# Types are numba's: float32 arrays throughout, int64 scalars.

import numpy as np

from clrepro.kernels.deterministic_math import compiled
from clrepro.kernels.forward_backward import backward, forward, take, update
from clrepro.kernels.limits import product_limits
from clrepro.kernels.mlp_loops import softmax_error
from clrepro.kernels.row_tiles import ROWS, four_dots

# Squares of lengths outside of these are taken in float64.
LOW, HIGH = product_limits(float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max))
LARGEST_SHARE = 1e30


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
def _wide_gram(sizes, n, m, dense, act, error, out):
    """As `_gram`, every product in float64: those of float32 end at 1e-45 and 3e38, squares of gradients that
    occur.
    """
    out[1:] = 0.0
    for i in range(n + m):
        for j in range(i + 1):
            product = np.float64(0.0)
            for layer in range(sizes.shape[0] - 1):
                inputs, errors = act[layer - 1] if layer else dense, error[layer]
                x = np.float64(1.0)  # of the bias
                for k in range(sizes[layer]):
                    x += np.float64(inputs[i, k]) * np.float64(inputs[j, k])
                d = np.float64(0.0)
                for k in range(sizes[layer + 1]):
                    d += np.float64(errors[i, k]) * np.float64(errors[j, k])
                product += d * x
            if j < n <= i:
                out[1] += product
            else:
                out[3 if i < n else 2] += product if i == j else 2.0 * product


@compiled
def _held(square):
    """Whether a sum of float32 products is what it seems to be; false for nan."""
    return square == 0.0 or LOW <= square <= HIGH


@compiled
def _reference_share(sizes, n, m, dense, act, error, out):
    """Fill out[1:] as `_gram` does and return g.r / r.r, or 0 where the step needs no projection."""
    _gram(sizes, n, m, dense, act, error, out)
    if not (LOW <= out[2] <= HIGH and LOW <= out[3] <= HIGH):
        gr, rr, gg = out[1], out[2], out[3]
        _wide_gram(sizes, n, m, dense, act, error, out)
        if _held(out[2]) and _held(out[3]):  # a gradient of exactly 0
            out[1], out[2], out[3] = gr, rr, gg
    share = out[1] / out[2] if out[1] < 0.0 and out[2] > 0.0 else 0.0
    # A very short reference times a very large number: both are brought within float32.
    while share < -LARGEST_SHARE:
        share /= LARGEST_SHARE
        for layer in range(sizes.shape[0] - 1):
            error[layer, n : n + m] *= np.float32(LARGEST_SHARE)
    return share


@compiled
def agem_steps(
    theta, sizes, offsets, index, value, count, label, indices,
    m_index, m_value, m_count, m_label, m_indices, rate,
    dense, units, values, n_units, back_unit, back_value, turned, act, error, step, scale, out,
):  # fmt: skip
    """For every batch b: theta <- theta - rate * (g - min(g.r, 0) / r.r * r); out[b] <- mean loss of the
    batch, g.r, r.r, g.g.
    """
    n, m, top = indices.shape[1], m_indices.shape[1], sizes.shape[0] - 2
    used = (n + m + ROWS - 1) // ROWS * ROWS
    width = sizes[top + 1]
    for b in range(indices.shape[0]):
        dense[:] = 0.0
        take(index, value, count, indices[b], dense, 0)
        take(m_index, m_value, m_count, m_indices[b], dense, n)
        for group in range(used // ROWS):
            first = ROWS * group
            forward(theta, sizes, offsets, dense, first, group, units, values, n_units, act, first, scale)
        out[b] = 0.0
        error[top] = 0.0  # rows that only fill up a group stay so
        for i in range(n + m):
            delta = error[top, i, :width]
            delta[:] = act[top, i, :width]
            mine = i < n
            target = label[indices[b, i]] if mine else m_label[m_indices[b, i - n]]
            loss = softmax_error(delta, target, np.float32(1.0) / np.float32(n if mine else m))
            if mine:
                out[b, 0] += loss / n
        backward(theta, sizes, offsets, used, back_unit, back_value, turned, act, error, scale)
        step[:] = 0.0
        step[:n] = -rate
        if m:
            step[n : n + m] = np.float32(rate * _reference_share(sizes, n, m, dense, act, error, out[b]))
        last = used if step[n] else (n + ROWS - 1) // ROWS * ROWS
        update(theta, sizes, offsets, last, units, values, n_units, error, step)
