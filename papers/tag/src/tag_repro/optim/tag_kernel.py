"""TAG's step for all float32 tensors of a group at once, compiled.

Its time is that of reading the finished tasks' directions and second moments once, 2 t P numbers, so each block
of 4096 is read by one pass while the block's own numbers stay in the nearest cache: pass 1 moves M and V on and
takes the inner products, then come the weights, pass 2 adds up the second moments and moves the parameters.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg,import-untyped"
# Types are numba's: addresses and sizes int64, arrays float32 unless said otherwise.

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from clrepro.engines.exact import compiled, fma

P, G, M, V, U_OLD, V_OLD, ALPHA_SUM = range(7)  # columns of the table of addresses
RMS, ADAGRAD, ADAM = range(3)
FLOAT, BFLOAT, HALF = range(3)  # how finished tasks' numbers are held
SMALLEST, LARGEST = 1e-30, 1e30  # of a weight: beyond, a float32 product with it would be 0 or infinite
_BLOCK, _LANES = 4096, 64
_ZERO = np.float32(0)


@intrinsic
def _pointer(_context, address, kind):
    """An address as a pointer to numbers of a numba type."""

    def instructions(_context, builder, signature, args):
        return builder.inttoptr(args[0], _context.get_value_type(signature.return_type))

    return types.CPointer(kind.dtype)(address, kind), instructions


@intrinsic
def _of_bfloat(_context, bits):
    """The float32 whose upper half are these bits."""

    def instructions(_context, builder, _signature, args):
        wide = builder.shl(builder.zext(args[0], ir.IntType(32)), ir.IntType(32)(16))
        return builder.bitcast(wide, ir.FloatType())

    return types.float32(bits), instructions


@intrinsic
def _of_half(_context, bits):
    """The float32 that these bits of IEEE half precision stand for."""

    def instructions(_context, builder, _signature, args):
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(bits), instructions


@compiled
def _floats(address, n):
    return numba.carray(_pointer(address, types.float32), n)


@compiled
def _words(address, n):
    return numba.carray(_pointer(address, types.uint16), n)


@compiled
def _widen(address, n, kind, held):
    """held[:n] <- n numbers of 16 bits at an address."""
    words = _words(address, n)
    if kind == HALF:
        for j in range(n):
            held[j] = _of_half(words[j])
    else:
        for j in range(n):
            held[j] = _of_bfloat(words[j])


@compiled
def _dot(a, b, n, part):
    """Sum of a b over n numbers, in lanes."""
    part[:] = _ZERO
    whole = n - n % _LANES
    for at in range(0, whole, _LANES):
        x, y = a[at : at + _LANES], b[at : at + _LANES]
        for j in range(_LANES):
            part[j] = fma(x[j], y[j], part[j])
    total = 0.0
    for j in range(_LANES):
        total += part[j]
    for j in range(whole, n):
        total += a[j] * b[j]
    return total


@compiled
def _gradient(g, p, sign, decay, out):
    """out <- sign g + decay p."""
    for j in range(g.shape[0]):
        out[j] = fma(decay, p[j], sign * g[j])


@compiled
def _moments(g, m, v, beta1, rest1, beta2, rest2):
    for j in range(g.shape[0]):
        m[j] = fma(rest1, g[j], beta1 * m[j])
        v[j] = fma(rest2, g[j] * g[j], beta2 * v[j])


@compiled
def _first_pass(row, n, old, kind, settings, dots, space):
    """Moves M and V on; dots[:old] <- <M, U_s>; returns <M, M>."""
    beta1, rest1, beta2, rest2, sign, decay = settings
    gradient, held, part = space[0], space[1], space[2, :_LANES]
    size, square = 4 if kind == FLOAT else 2, 0.0
    dots[:old] = 0.0
    for at in range(0, n, _BLOCK):
        k = min(_BLOCK, n - at)
        p, g = _floats(row[P] + 4 * at, k), _floats(row[G] + 4 * at, k)
        m, v = _floats(row[M] + 4 * at, k), _floats(row[V] + 4 * at, k)
        _gradient(g, p, sign, decay, gradient)
        _moments(gradient[:k], m, v, beta1, rest1, beta2, rest2)
        square += _dot(m, m, k, part)
        for s in range(old):
            place = row[U_OLD] + size * (s * n + at)
            if kind == FLOAT:
                dots[s] += _dot(m, _floats(place, k), k, part)
            else:
                _widen(place, k, kind, held)
                dots[s] += _dot(m, held, k, part)
    return square


@compiled
def _add_scaled(total, alpha, values, n):
    for j in range(n):
        total[j] = fma(alpha, values[j], total[j])


@compiled
def _move(p, top, total, rate, late, eps, most):
    """p <- p - rate top / (√total / late + eps), no further than `most`."""
    for j in range(p.shape[0]):
        step = rate * top[j] / (math.sqrt(total[j]) * late + eps)
        p[j] -= min(max(step, -most), most)


@compiled
def _second_pass(row, n, old, kind, settings, own, alphas, rate, late, eps, most, use_m, space):
    sign, decay = settings[4], settings[5]
    total, gradient, held = space[0], space[1], space[2]
    size = 4 if kind == FLOAT else 2
    for at in range(0, n, _BLOCK):
        k = min(_BLOCK, n - at)
        p, m, v = _floats(row[P] + 4 * at, k), _floats(row[M] + 4 * at, k), _floats(row[V] + 4 * at, k)
        for j in range(k):
            total[j] = own * v[j]
        for s in range(old):
            place, alpha = row[V_OLD] + size * (s * n + at), np.float32(alphas[s])
            if kind == FLOAT:
                _add_scaled(total, alpha, _floats(place, k), k)
            elif kind == BFLOAT:
                _widen(place, k, kind, held)
                _add_scaled(total, alpha, held, k)
            else:
                _add_scaled(total, alpha, _floats(row[V_OLD] + 4 * (s * n + at), k), k)
        if use_m:
            _move(p, m, total, rate, late, eps, most)
        else:
            _gradient(_floats(row[G] + 4 * at, k), p, sign, decay, gradient)
            _move(p, gradient[:k], total, rate, late, eps, most)


@compiled
def step(table, sizes, counts, kind, settings, b, own, rate, late, eps, most, use_m, space):
    """One step.

    Args: table — int64 (tensors, 7), addresses; sizes, counts — int64 (tensors,): numbers of each, and finished
        tasks; kind — FLOAT, BFLOAT (directions and second moments) or HALF (directions); settings — beta1,
        1 - beta1, beta2, 1 - beta2 (adagrad: 1, 1), sign of the gradient, weight decay; own — weight of the
        present second moment; late — factor of the root; most — largest move; use_m — move by M, else by the
        gradient; space — float32 (3, 4096).
    """
    alphas = np.empty(max(1, counts.max()))
    for number in range(sizes.shape[0]):
        row, n, old = table[number], sizes[number], counts[number]
        square = _first_pass(row, n, old, kind, settings, alphas, space)
        scale = 1 / math.sqrt(square) if square > 0 else 0.0
        sums = numba.carray(_pointer(row[ALPHA_SUM], types.float64), old)
        for s in range(old):
            alphas[s] = min(max(math.exp(min(-b * alphas[s] * scale, 700.0)), SMALLEST), LARGEST)
            sums[s] += alphas[s]
        _second_pass(row, n, old, kind, settings, own, alphas, rate, late, eps, most, use_m, space)
