"""Compiled passes over rows taken four at a time.

What `kernels` does for one row and then the next, these do for four: every weight is loaded once for all of
them, which counts once the weights do not fit into the nearest cache.  The inputs of four rows are kept as
the list of those units that are not zero in all four, with a value for each row.

Work space: rows padded to a multiple of LANES with zeros, and to a multiple of four rows; lists padded to a
multiple of four units that weigh nothing.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg,var-annotated"
# Types are numba's: float32 arrays throughout, int64 scalars.

import numpy as np

from clrepro.kernels.deterministic_math import compiled
from clrepro.kernels.simd import (
    LANES,
    flip,
    load,
    load_first,
    lowest_bit,
    multiply_add,
    repeat,
    store,
    store_first,
    total,
    used,
    where_positive,
)

ROWS = 4


@compiled
def list_units(rows, first, n_units, bias, unit, value):
    """unit[k], value[4 k + r] <- the units that are not zero in all of rows[first : first + 4]; returns how
    many.  With bias, a unit of that number follows whose value is 1: its weights lie where the bias lies.
    """
    n, stride = 0, rows.shape[1]
    at0 = first * stride
    at1, at2, at3 = at0 + stride, at0 + 2 * stride, at0 + 3 * stride
    for start in range(0, n_units, LANES):
        left = n_units - start
        bits = used(
            load_first(rows, at0 + start, left), load_first(rows, at1 + start, left),
            load_first(rows, at2 + start, left), load_first(rows, at3 + start, left),
        )  # fmt: skip
        while bits:
            p = start + lowest_bit(bits)
            bits &= bits - 1
            unit[n] = p
            at = ROWS * n
            value[at], value[at + 1] = rows[first, p], rows[first + 1, p]
            value[at + 2], value[at + 3] = rows[first + 2, p], rows[first + 3, p]
            n += 1
    if bias:
        unit[n] = n_units
        value[ROWS * n : ROWS * n + ROWS] = 1.0
        n += 1
    while n % ROWS:
        unit[n] = 0
        value[ROWS * n : ROWS * n + ROWS] = 0.0
        n += 1
    return n


@compiled
def accumulate(theta, at, width, unit, value, n, out, first):
    """out[first + r] += sum_k value[4 k + r] * theta[at + unit[k] * width :][:width] for r = 0..3, in the
    order of k.
    """
    stride = out.shape[1]
    r0 = first * stride
    r1, r2, r3 = r0 + stride, r0 + 2 * stride, r0 + 3 * stride
    for k in range(0, n, ROWS):
        w0, w1 = at + unit[k] * width, at + unit[k + 1] * width
        w2, w3 = at + unit[k + 2] * width, at + unit[k + 3] * width
        v = ROWS * k
        a0, a1, a2, a3 = repeat(value[v]), repeat(value[v + 1]), repeat(value[v + 2]), repeat(value[v + 3])
        b0, b1, b2, b3 = (
            repeat(value[v + 4]), repeat(value[v + 5]), repeat(value[v + 6]), repeat(value[v + 7])
        )  # fmt: skip
        c0, c1, c2, c3 = (
            repeat(value[v + 8]), repeat(value[v + 9]), repeat(value[v + 10]), repeat(value[v + 11])
        )  # fmt: skip
        d0, d1, d2, d3 = (
            repeat(value[v + 12]), repeat(value[v + 13]), repeat(value[v + 14]), repeat(value[v + 15])
        )  # fmt: skip
        for j in range(0, width, LANES):
            left = width - j
            x0, x1 = load_first(theta, w0 + j, left), load_first(theta, w1 + j, left)
            x2, x3 = load_first(theta, w2 + j, left), load_first(theta, w3 + j, left)
            h = multiply_add(b0, x1, multiply_add(a0, x0, load(out, r0 + j)))
            store(out, r0 + j, multiply_add(d0, x3, multiply_add(c0, x2, h)))
            h = multiply_add(b1, x1, multiply_add(a1, x0, load(out, r1 + j)))
            store(out, r1 + j, multiply_add(d1, x3, multiply_add(c1, x2, h)))
            h = multiply_add(b2, x1, multiply_add(a2, x0, load(out, r2 + j)))
            store(out, r2 + j, multiply_add(d2, x3, multiply_add(c2, x2, h)))
            h = multiply_add(b3, x1, multiply_add(a3, x0, load(out, r3 + j)))
            store(out, r3 + j, multiply_add(d3, x3, multiply_add(c3, x2, h)))


@compiled
def _weights(theta, place, left, a0, a1, a2, a3, e0, e1, e2, e3):
    w = multiply_add(a1, e1, multiply_add(a0, e0, load_first(theta, place, left)))
    store_first(theta, place, left, multiply_add(a3, e3, multiply_add(a2, e2, w)))


@compiled
def add_outer(theta, at, width, unit, value, n, error, first, step):
    """theta[at + unit[k] * width + j] += sum_r step[r] * value[4 k + r] * error[first + r, j], in the order
    of r.
    """
    stride = error.shape[1]
    r0 = first * stride
    r1, r2, r3 = r0 + stride, r0 + 2 * stride, r0 + 3 * stride
    s0, s1, s2, s3 = step[first], step[first + 1], step[first + 2], step[first + 3]
    # A quarter of the list apart: a processor that loads weights next to those it just stored has to wait.
    quarter = n // ROWS
    for k in range(quarter):
        w0, w1 = at + unit[k] * width, at + unit[k + quarter] * width
        w2, w3 = at + unit[k + 2 * quarter] * width, at + unit[k + 3 * quarter] * width
        v, q = ROWS * k, ROWS * quarter
        a0, a1 = repeat(s0 * value[v]), repeat(s1 * value[v + 1])
        a2, a3 = repeat(s2 * value[v + 2]), repeat(s3 * value[v + 3])
        v += q
        b0, b1 = repeat(s0 * value[v]), repeat(s1 * value[v + 1])
        b2, b3 = repeat(s2 * value[v + 2]), repeat(s3 * value[v + 3])
        v += q
        c0, c1 = repeat(s0 * value[v]), repeat(s1 * value[v + 1])
        c2, c3 = repeat(s2 * value[v + 2]), repeat(s3 * value[v + 3])
        v += q
        d0, d1 = repeat(s0 * value[v]), repeat(s1 * value[v + 1])
        d2, d3 = repeat(s2 * value[v + 2]), repeat(s3 * value[v + 3])
        for j in range(0, width, LANES):
            left = width - j
            e0, e1, e2, e3 = (
                load(error, r0 + j),
                load(error, r1 + j),
                load(error, r2 + j),
                load(error, r3 + j),
            )
            _weights(theta, w0 + j, left, a0, a1, a2, a3, e0, e1, e2, e3)
            _weights(theta, w1 + j, left, b0, b1, b2, b3, e0, e1, e2, e3)
            _weights(theta, w2 + j, left, c0, c1, c2, c3, e0, e1, e2, e3)
            _weights(theta, w3 + j, left, d0, d1, d2, d3, e0, e1, e2, e3)


@compiled
def four_dots(x, at, width, rows, first):
    """Dot products of x[at : at + width] with rows[first : first + 4, :width]."""
    stride = rows.shape[1]
    r0 = first * stride
    r1, r2, r3 = r0 + stride, r0 + 2 * stride, r0 + 3 * stride
    s0 = s1 = s2 = s3 = repeat(np.float32(0.0))
    for j in range(0, width, LANES):
        a = load_first(x, at + j, width - j)
        s0, s1 = multiply_add(a, load(rows, r0 + j), s0), multiply_add(a, load(rows, r1 + j), s1)
        s2, s3 = multiply_add(a, load(rows, r2 + j), s2), multiply_add(a, load(rows, r3 + j), s3)
    return total(s0), total(s1), total(s2), total(s3)


@compiled
def transpose(theta, at, n_in, width, out):
    """out[j, i] <- theta[at + i * width + j]; out's rows are padded with zeros."""
    stride = out.shape[1]
    for j in range(0, width, LANES):
        for i in range(0, n_in, LANES):
            flip(theta, at + i * width + j, width, n_in - i, width - j, out, j * stride + i, stride)


@compiled
def clear(rows, first):
    """rows[first : first + 4] <- 0."""
    zeros = repeat(np.float32(0.0))
    for at in range(first * rows.shape[1], (first + ROWS) * rows.shape[1], LANES):
        store(rows, at, zeros)


@compiled
def multiply(rows, scale, first):
    """rows[first : first + 4] *= scale[first : first + 4]."""
    zeros = repeat(np.float32(0.0))
    for at in range(first * rows.shape[1], (first + ROWS) * rows.shape[1], LANES):
        store(rows, at, multiply_add(load(rows, at), load(scale, at), zeros))


@compiled
def keep_where_positive(test, rows, first):
    """rows[first : first + 4] <- 0 where test is not above zero."""
    for at in range(first * rows.shape[1], (first + ROWS) * rows.shape[1], LANES):
        store(rows, at, where_positive(load(test, at), load(rows, at)))
