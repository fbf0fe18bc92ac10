"""Compiled loops of the ReLU MLP engine; `clrepro.kernels.mlp` is the public face and states the maths.

Layout: one flat parameter vector theta; layer l holds its weights input-major (fan_in, fan_out), then its
bias. Inputs are sparse rows (active pixel numbers and their values): about four fifths of an MNIST image is
black, and with input-major weights a black pixel touches nothing, forwards or backwards.  Inactive hidden
units are skipped likewise.

Every sum has one fixed order, so results are the same bits in every run and on every processor whose exp()
rounds alike (see `clrepro.kernels.deterministic_math`).
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg"
# Types are numba's: float32 arrays throughout, int64 scalars.

import numpy as np

from clrepro.kernels.deterministic_math import compiled, dot, fma


@compiled
def _row(theta, at, width):
    """theta[at : at + width]; inner loops over such a slice need no test for negative indices and so
    vectorise.
    """
    return theta[at : at + width]


@compiled
def dense_to_sparse(x, index, value):
    """Write the non-zero entries of x into index/value; returns how many."""
    n = 0
    for p in range(x.shape[0]):
        # Written in any case, counted only where needed: no branch to guess wrong.
        index[n] = p
        value[n] = x[p]
        n += x[p] != 0.0
    return n


@compiled
def rows_to_sparse(x, index, value, count):
    """dense_to_sparse for every row of x (n, inputs); count[i] <- how many."""
    for i in range(x.shape[0]):
        count[i] = dense_to_sparse(x[i], index[i], value[i])


@compiled
def _first_layer(theta, out, index, value, n, n_in):
    """out <- bias + x W for a sparse x; four rows of W at a time keep the accumulator in registers longer."""
    width = out.shape[0]
    bias = _row(theta, n_in * width, width)
    for j in range(width):
        out[j] = bias[j]
    k = 0
    while k + 4 <= n:
        w0 = _row(theta, index[k] * width, width)
        w1 = _row(theta, index[k + 1] * width, width)
        w2 = _row(theta, index[k + 2] * width, width)
        w3 = _row(theta, index[k + 3] * width, width)
        v0, v1, v2, v3 = value[k], value[k + 1], value[k + 2], value[k + 3]
        for j in range(width):
            out[j] = fma(v3, w3[j], fma(v2, w2[j], fma(v1, w1[j], fma(v0, w0[j], out[j]))))
        k += 4
    while k < n:
        w0 = _row(theta, index[k] * width, width)
        v0 = value[k]
        for j in range(width):
            out[j] = fma(v0, w0[j], out[j])
        k += 1


@compiled
def _forward(theta, sizes, offsets, index, value, n, act):
    """Fill act[l, :sizes[l+1]] with layer outputs: ReLU applied in all layers but the last, which keeps
    logits.
    """
    n_layers = sizes.shape[0] - 1
    _first_layer(theta, act[0, : sizes[1]], index, value, n, sizes[0])
    for layer in range(1, n_layers):
        n_in, width, at = sizes[layer], sizes[layer + 1], offsets[layer]
        below, out = act[layer - 1], act[layer]
        bias = _row(theta, at + n_in * width, width)
        for j in range(width):
            out[j] = bias[j]
        for i in range(n_in):
            h = below[i]
            if h > 0.0:
                row = _row(theta, at + i * width, width)
                for j in range(width):
                    out[j] = fma(h, row[j], out[j])
            else:
                below[i] = 0.0


@compiled
def softmax_error(logits, label, scale):
    """logits <- scale * (softmax(logits) - onehot(label)), the gradient of the scaled cross-entropy; returns
    the cross-entropy itself, unscaled.
    """
    top = logits[0]
    for c in range(1, logits.shape[0]):
        top = max(top, logits[c])
    own = logits[label] - top
    total = np.float32(0.0)
    for c in range(logits.shape[0]):
        e = np.exp(logits[c] - top)
        logits[c] = e
        total += e
    factor = scale / total
    for c in range(logits.shape[0]):
        logits[c] *= factor
    logits[label] -= scale
    return np.log(total) - own


@compiled
def _backward_hidden(theta, sizes, offsets, layer, below, delta, error_below, rate, update):
    """error_below <- (W delta) where below is active; with update, also theta <- theta - rate * gradient of
    this layer.

    The dot product reads a row before the same pass overwrites it.
    """
    n_in, width, at = sizes[layer], sizes[layer + 1], offsets[layer]
    for i in range(n_in):
        h = below[i]
        if h > 0.0:
            row = _row(theta, at + i * width, width)
            error_below[i] = dot(row, delta)
            if update:
                step = -rate * h
                for j in range(width):
                    row[j] = fma(step, delta[j], row[j])
        else:
            error_below[i] = 0.0
    if update:
        bias = _row(theta, at + n_in * width, width)
        for j in range(width):
            bias[j] = fma(-rate, delta[j], bias[j])


@compiled
def _update_first(theta, n_in, index, value, n, delta, rate):
    """theta <- theta - rate * gradient of the input layer for one sparse row."""
    width = delta.shape[0]
    for k in range(n):
        row = _row(theta, index[k] * width, width)
        step = -rate * value[k]
        for j in range(width):
            row[j] = fma(step, delta[j], row[j])
    bias = _row(theta, n_in * width, width)
    for j in range(width):
        bias[j] = fma(-rate, delta[j], bias[j])


@compiled
def sgd_steps(theta, sizes, offsets, index, value, count, label, indices, scale, rate, act, error):
    """One SGD step per index, in order: theta <- theta - rate * scale[i] * grad CE(row indices[i])."""
    top = sizes.shape[0] - 2
    for i in range(indices.shape[0]):
        row = indices[i]
        n = count[row]
        _forward(theta, sizes, offsets, index[row], value[row], n, act)
        delta = act[top, : sizes[top + 1]]
        softmax_error(delta, label[row], scale[i])
        for layer in range(top, 0, -1):
            below = error[layer - 1, : sizes[layer]]
            _backward_hidden(theta, sizes, offsets, layer, act[layer - 1], delta, below, rate, True)
            delta = below
        _update_first(theta, sizes[0], index[row], value[row], n, delta, rate)


@compiled
def row_errors(theta, sizes, offsets, index, value, n, label, weight, act, error):
    """Fill act with the layers' outputs for one row and error with weight * dCE/d(layer output), layer by
    layer; returns the row's cross-entropy.
    """
    top = sizes.shape[0] - 2
    _forward(theta, sizes, offsets, index, value, n, act)
    delta = error[top, : sizes[top + 1]]
    for c in range(sizes[top + 1]):
        delta[c] = act[top, c]
    loss = softmax_error(delta, label, weight)
    for layer in range(top, 0, -1):
        below = error[layer - 1, : sizes[layer]]
        _backward_hidden(theta, sizes, offsets, layer, act[layer - 1], delta, below, np.float32(0.0), False)
        delta = below
    return loss


@compiled
def apply_row(theta, sizes, offsets, index, value, n, act, error, rate):
    """theta <- theta - rate * (the gradient that act and error of one row stand for)."""
    _update_first(theta, sizes[0], index, value, n, error[0, : sizes[1]], rate)
    for layer in range(1, sizes.shape[0] - 1):
        _apply_layer(theta, sizes, offsets, layer, act[layer - 1], error[layer, : sizes[layer + 1]], rate)


@compiled
def sgd_batch(theta, sizes, offsets, index, value, count, label, indices, weight, rate, act, error):
    """One SGD step on sum_i weight[i] CE(row indices[i]); act and error hold a slice per row of the batch."""
    for i in range(indices.shape[0]):
        row = indices[i]
        row_errors(
            theta, sizes, offsets, index[row], value[row], count[row], label[row], weight[i], act[i], error[i]
        )
    for i in range(indices.shape[0]):
        row = indices[i]
        apply_row(theta, sizes, offsets, index[row], value[row], count[row], act[i], error[i], rate)


@compiled
def _apply_layer(theta, sizes, offsets, layer, below, delta, rate):
    """theta <- theta - rate * (below outer delta) for one hidden or output layer."""
    n_in, width, at = sizes[layer], sizes[layer + 1], offsets[layer]
    for i in range(n_in):
        h = below[i]
        if h > 0.0:
            step = -rate * h
            row = _row(theta, at + i * width, width)
            for j in range(width):
                row[j] = fma(step, delta[j], row[j])
    bias = _row(theta, at + n_in * width, width)
    for j in range(width):
        bias[j] = fma(-rate, delta[j], bias[j])


@compiled
def interpolate(theta, start, rate):
    """theta <- start + rate * (theta - start), in that order of rounding (Reptile)."""
    for i in range(theta.shape[0]):
        theta[i] = fma(rate, theta[i] - start[i], start[i])
