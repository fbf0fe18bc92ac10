"""Compiled A-GEM step; `clrepro.engines.mlp.Trainer.agem_step` is the public face and states the maths.

Neither gradient is ever built.  With layer inputs X and errors D of the rows of both batches, an inner
product of two gradients is sum_layers sum_ij (D_i . D_j) (X_i . X_j + 1), the 1 for the bias: a few hundred
short dot products in place of two vectors as long as the network.  The update adds one outer product per row.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg"
# Types are numba's: float32 arrays throughout, int64 scalars.

import numpy as np

from clrepro.engines.exact import compiled, dot
from clrepro.engines.kernels import apply_row, row_errors


@compiled
def _sparse_dot(index, value, n, dense):
    """Sum of value[k] * dense[index[k]] in four interleaved partial sums."""
    s0 = s1 = s2 = s3 = np.float32(0.0)
    k = 0
    while k + 4 <= n:
        s0 += value[k] * dense[index[k]]
        s1 += value[k + 1] * dense[index[k + 1]]
        s2 += value[k + 2] * dense[index[k + 2]]
        s3 += value[k + 3] * dense[index[k + 3]]
        k += 4
    while k < n:
        s0 += value[k] * dense[index[k]]
        k += 1
    return (s0 + s1) + (s2 + s3)


@compiled
def _product(sizes, inputs, act_a, error_a, act_b, error_b):
    """Inner product of the gradients of two rows; inputs is the dot product of their network inputs."""
    total = np.float64(dot(error_a[0, : sizes[1]], error_b[0, : sizes[1]])) * (inputs + np.float32(1.0))
    for layer in range(1, sizes.shape[0] - 1):
        width, n_in = sizes[layer + 1], sizes[layer]
        errors = dot(error_a[layer, :width], error_b[layer, :width])
        total += np.float64(errors) * (
            dot(act_a[layer - 1, :n_in], act_b[layer - 1, :n_in]) + np.float32(1.0)
        )
    return total


@compiled
def _spread(index, value, n, dense):
    for k in range(n):
        dense[index[k]] = value[k]


@compiled
def _clear(index, n, dense):
    for k in range(n):
        dense[index[k]] = np.float32(0.0)


@compiled
def _square(sizes, index, value, count, picks, first, act, error, dense):
    """Squared norm of the sum of the gradients of rows `picks`, whose act and error start at `first`."""
    total = np.float64(0.0)
    for i in range(picks.shape[0]):
        a = picks[i]
        _spread(index[a], value[a], count[a], dense)
        for j in range(i + 1):
            b = picks[j]
            inputs = _sparse_dot(index[b], value[b], count[b], dense)
            term = _product(sizes, inputs, act[first + i], error[first + i], act[first + j], error[first + j])
            total += term if i == j else 2.0 * term
        _clear(index[a], count[a], dense)
    return total


@compiled
def agem_step(
    theta, sizes, offsets, index, value, count, label, picks,
    m_index, m_value, m_count, m_label, m_picks, rate, act, error, dense, out,
):  # fmt: skip
    """theta <- theta - rate * (g - min(g.r, 0) / r.r * r); out <- mean loss of the batch, g.r, r.r, g.g.

    dense (n_inputs,) must come as zeros and is left so.
    """
    n, m = picks.shape[0], m_picks.shape[0]
    loss = np.float64(0.0)
    share = np.float32(1.0) / np.float32(n)
    for i in range(n):
        a = picks[i]
        loss += row_errors(
            theta, sizes, offsets, index[a], value[a], count[a], label[a], share, act[i], error[i]
        )
    out[0] = loss / n
    out[1:] = 0.0
    if m:
        share = np.float32(1.0) / np.float32(m)
    for i in range(m):
        a, at = m_picks[i], n + i
        row_errors(
            theta, sizes, offsets, m_index[a], m_value[a], m_count[a], m_label[a], share, act[at], error[at]
        )
        _spread(m_index[a], m_value[a], m_count[a], dense)
        for j in range(n):
            b = picks[j]
            inputs = _sparse_dot(index[b], value[b], count[b], dense)
            out[1] += _product(sizes, inputs, act[at], error[at], act[j], error[j])
        _clear(m_index[a], m_count[a], dense)
    if m:
        out[2] = _square(sizes, m_index, m_value, m_count, m_picks, n, act, error, dense)
        out[3] = _square(sizes, index, value, count, picks, 0, act, error, dense)
    for i in range(n):
        a = picks[i]
        apply_row(theta, sizes, offsets, index[a], value[a], count[a], act[i], error[i], rate)
    if out[1] < 0.0 and out[2] > 0.0:
        back = np.float32(rate * (-out[1] / out[2]))
        for i in range(m):
            a, at = m_picks[i], n + i
            apply_row(theta, sizes, offsets, m_index[a], m_value[a], m_count[a], act[at], error[at], back)
