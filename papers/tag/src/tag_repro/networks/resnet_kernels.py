"""Compiled passes between the convolutions of the reduced ResNet-18: ReLU, batch normalisation, sum, dropout.

Eager torch reads and writes every activation some fifteen times between two convolutions, forwards and
backwards; these passes touch each as often as the maths needs.  Activations lie with their channels last, and
are seen as float32 (rows, parts, LANES): LANES is a multiple of every width below it, so that a row holds
whole pixels and the innermost loop has one length that the compiler knows.  What belongs to a channel is
repeated to (parts, LANES).

A factor or addend that is absent is one row, of ones or zeros, read with a step of 0 instead of 1.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg,var-annotated"
# Types are numba's: float32 arrays, float64 totals and per-channel arrays, int64 steps.

import numpy as np

from clrepro.kernels.deterministic_math import compiled, fma

LANES = 80
MEAN, SCALE, SHIFT = range(3)  # of a normalisation, repeated to (3, parts, LANES)
_BLOCK = 32  # rows whose sum is taken in float32; blocks add up in float64
_ZERO = np.float32(0)


@compiled
def _add_up(part, total):
    """total += part; part <- 0."""
    for j in range(LANES):
        total[j] += part[j]
        part[j] = _ZERO


@compiled
def _per_channel(total, out):
    """out (channels,) <- total (parts, LANES), added over what belongs to the same channel."""
    out[:] = 0.0
    flat = total.reshape(total.size)
    for j in range(flat.shape[0]):
        out[j % out.shape[0]] += flat[j]


@compiled
def _repeated(values, out):
    """out (parts, LANES) <- values (channels,)."""
    flat = out.reshape(out.size)
    for j in range(flat.shape[0]):
        flat[j] = values[j % values.shape[0]]


@compiled
def cut(x, floor):
    """x <- max(x, floor); returns its sums over rows, float64 (parts, LANES)."""
    total = np.zeros((x.shape[1], LANES))
    part = np.zeros(LANES, np.float32)
    for p in range(x.shape[1]):
        for first in range(0, x.shape[0], _BLOCK):
            for i in range(first, min(first + _BLOCK, x.shape[0])):
                row = x[i, p]
                for j in range(LANES):
                    v = row[j]
                    v = v if v > floor else floor
                    row[j] = v
                    part[j] += v
            _add_up(part, total[p])
    return total


@compiled
def _squares(x, mean):
    """Returns the sums over rows of (x - mean)², float64 (parts, LANES)."""
    total = np.zeros((x.shape[1], LANES))
    part = np.zeros(LANES, np.float32)
    for p in range(x.shape[1]):
        middle = mean[p]
        for first in range(0, x.shape[0], _BLOCK):
            for i in range(first, min(first + _BLOCK, x.shape[0])):
                row = x[i, p]
                for j in range(LANES):
                    d = row[j] - middle[j]
                    part[j] = fma(d, d, part[j])
            _add_up(part, total[p])
    return total


@compiled
def normalisation(x, total, weight, bias, running_mean, running_var, momentum, eps, frozen, norm, inverse):
    """norm <- mean, scale = weight / deviation and shift = bias - mean scale; inverse (channels,) <-
    1 / deviation; of x with the sums `total`, the running statistics moved on by momentum, or of these alone.
    """
    channels = weight.shape[0]
    mean, var = np.empty(channels), np.empty(channels)
    if frozen:
        mean[:], var[:] = running_mean, running_var
        _repeated(mean, norm[MEAN])
    else:
        n = x.size // channels
        _per_channel(total, mean)
        mean /= n
        _repeated(mean, norm[MEAN])
        _per_channel(_squares(x, norm[MEAN]), var)
        var /= n
        for c in range(channels):
            running_mean[c] += momentum * (mean[c] - running_mean[c])
            running_var[c] += momentum * (var[c] * n / max(n - 1, 1) - running_var[c])
    inverse[:] = 1 / np.sqrt(var + eps)
    factor = weight * inverse
    _repeated(factor, norm[SCALE])
    _repeated(bias - mean * factor, norm[SHIFT])


@compiled
def scale_add_cut(x, norm, keep, keep_step, more, more_step, out):
    """out <- max(0, (scale x + shift) keep + more); returns its sums over rows, float64 (parts, LANES)."""
    total = np.zeros((x.shape[1], LANES))
    part = np.zeros(LANES, np.float32)
    for p in range(x.shape[1]):
        a, b = norm[SCALE, p], norm[SHIFT, p]
        for first in range(0, x.shape[0], _BLOCK):
            for i in range(first, min(first + _BLOCK, x.shape[0])):
                row, to, factor, add = x[i, p], out[i, p], keep[i * keep_step, p], more[i * more_step, p]
                for j in range(LANES):
                    v = fma(fma(a[j], row[j], b[j]), factor[j], add[j])
                    v = v if v > _ZERO else _ZERO
                    to[j] = v
                    part[j] += v
            _add_up(part, total[p])
    return total


@compiled
def scale(x, norm, keep, keep_step, out):
    """out <- (scale x + shift) keep."""
    for i in range(x.shape[0]):
        for p in range(x.shape[1]):
            row, to, a, b, factor = x[i, p], out[i, p], norm[SCALE, p], norm[SHIFT, p], keep[i * keep_step, p]
            for j in range(LANES):
                to[j] = fma(a[j], row[j], b[j]) * factor[j]


@compiled
def gradient_sums(g, more, more_step, keep, keep_step, x, norm):
    """g <- (g + more) keep; returns float64 (2, parts, LANES): sums over rows of g, and of g (x - mean)."""
    total = np.zeros((2, x.shape[1], LANES))
    part, part_x = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    for p in range(x.shape[1]):
        middle = norm[MEAN, p]
        for first in range(0, x.shape[0], _BLOCK):
            for i in range(first, min(first + _BLOCK, x.shape[0])):
                row, to, factor, add = x[i, p], g[i, p], keep[i * keep_step, p], more[i * more_step, p]
                for j in range(LANES):
                    v = (to[j] + add[j]) * factor[j]
                    to[j] = v
                    part[j] += v
                    part_x[j] = fma(v, row[j] - middle[j], part_x[j])
            _add_up(part, total[0, p])
            _add_up(part_x, total[1, p])
    return total


@compiled
def norm_gradient(total, inverse, n, frozen, own, less):
    """own (2, channels) <- the gradients of weight and bias, from the sums that `gradient_sums` returns;
    less (2, parts, LANES) <- what the gradient of every input is lessened by, constant and times (x -
    mean); 0 if frozen.
    """
    channels = inverse.shape[0]
    sums, sums_x = np.empty(channels), np.empty(channels)
    _per_channel(total[0], sums)
    _per_channel(total[1], sums_x)
    own[0], own[1] = sums_x * inverse, sums
    less[:] = _ZERO
    if not frozen:
        _repeated(sums / n, less[0])
        _repeated(sums_x * inverse * inverse / n, less[1])


@compiled
def gradient_between(g, z, norm, less, keep, keep_step, x, norm_x):
    """g <- scale (g - less - less_x (z - mean)), 0 where z is not above 0; returns float64 (2, parts, LANES):
    sums over rows of h = g keep, and of h (x - mean_x).
    """
    total = np.zeros((2, x.shape[1], LANES))
    part, part_x = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    for p in range(x.shape[1]):
        middle, a, b, c, middle_x = norm[MEAN, p], norm[SCALE, p], less[0, p], less[1, p], norm_x[MEAN, p]
        for first in range(0, x.shape[0], _BLOCK):
            for i in range(first, min(first + _BLOCK, x.shape[0])):
                row, to, below, factor = z[i, p], g[i, p], x[i, p], keep[i * keep_step, p]
                for j in range(LANES):
                    v = a[j] * (to[j] - b[j] - c[j] * (row[j] - middle[j]))
                    v = v if row[j] > _ZERO else _ZERO
                    to[j] = v
                    v *= factor[j]
                    part[j] += v
                    part_x[j] = fma(v, below[j] - middle_x[j], part_x[j])
            _add_up(part, total[0, p])
            _add_up(part_x, total[1, p])
    return total


@compiled
def gradient_below(g, keep, keep_step, x, norm, less, floor, out):
    """out <- scale (g keep - less - less_x (x - mean)), 0 where x is not above floor."""
    for i in range(x.shape[0]):
        for p in range(x.shape[1]):
            row, from_, to, factor = x[i, p], g[i, p], out[i, p], keep[i * keep_step, p]
            middle, a, b, c = norm[MEAN, p], norm[SCALE, p], less[0, p], less[1, p]
            for j in range(LANES):
                v = a[j] * (from_[j] * factor[j] - b[j] - c[j] * (row[j] - middle[j]))
                to[j] = v if row[j] > floor else _ZERO
