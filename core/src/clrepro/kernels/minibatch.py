"""Compiled mini-batch SGD; `clrepro.kernels.batch.BatchTrainer.sgd_steps` is the public face."""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg"
# Types are numba's: float32 arrays throughout, int64 scalars.

import numpy as np

from clrepro.kernels.deterministic_math import compiled, fma
from clrepro.kernels.forward_backward import backward, forward, update
from clrepro.kernels.mlp_loops import softmax_error
from clrepro.kernels.row_tiles import ROWS


@compiled
def _descend(theta, velocity, rate, momentum):
    """theta -= rate * velocity; velocity *= momentum, ready for the next gradient."""
    for i in range(theta.shape[0]):
        v = velocity[i]
        theta[i] = fma(-rate, v, theta[i])
        velocity[i] = momentum * v


@compiled
def sgd_steps(
    theta, velocity, sizes, offsets, x, unit_value, y, indices, rate, momentum, low, high, keep,
    dense, units, values, n_units, back_unit, back_value, turned, act, error, step, none, losses,
):  # fmt: skip
    """One step per batch b on the mean cross-entropy over classes low..high-1; losses[b] <- it, before the
    step.  x (n, inputs) is divided by unit_value; velocity — empty: no momentum; keep (batches, hidden
    layers, rows, width) — empty: no dropout.
    """
    n, top = indices.shape[1], sizes.shape[0] - 2
    used = (n + ROWS - 1) // ROWS * ROWS
    share = np.float32(1.0) / np.float32(n)
    for b in range(indices.shape[0]):
        scale = keep[b] if keep.shape[0] else none
        for i in range(n):
            row = x[indices[b, i]]
            for j in range(row.shape[0]):
                dense[i, j] = np.float32(row[j]) / unit_value
        dense[n:used] = 0.0
        for group in range(used // ROWS):
            first = ROWS * group
            forward(theta, sizes, offsets, dense, first, group, units, values, n_units, act, first, scale)
        losses[b] = 0.0
        error[top] = 0.0
        for i in range(n):
            delta = error[top, i, low:high]
            delta[:] = act[top, i, low:high]
            losses[b] += softmax_error(delta, y[indices[b, i]] - low, share) / n
        backward(theta, sizes, offsets, used, back_unit, back_value, turned, act, error, scale)
        step[:] = 0.0
        if velocity.shape[0]:
            step[:n] = 1.0
            update(velocity, sizes, offsets, used, units, values, n_units, error, step)
            _descend(theta, velocity, rate, momentum)
        else:
            step[:n] = -rate
            update(theta, sizes, offsets, used, units, values, n_units, error, step)
