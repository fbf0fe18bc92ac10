"""TAG's step for all float32 tensors of a group at once, compiled.

Its time is that of reading the finished tasks' directions and second moments once, 2 t P numbers, so each
block of 4096 is read by one pass while the block's own numbers stay in the nearest cache: pass 1 moves M
and V on and takes the inner products, then come the weights, pass 2 adds up the second moments and moves
the parameters.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg"
# mypy: disable-error-code="import-untyped,attr-defined,var-annotated"
# Types are numba's: addresses and sizes int64, arrays float32 unless said otherwise.

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from clrepro.kernels.deterministic_math import compiled, fma

P, G, M, V, U_OLD, V_OLD, ALPHA_SUM = range(7)  # columns of the table of addresses
RMS, ADAGRAD, ADAM = range(3)
FLOAT, BFLOAT, HALF = range(3)  # how finished tasks' numbers are held
SMALLEST, LARGEST = 1e-30, 1e30  # of a weight: beyond, a float32 product with it would be 0 or infinite
BLOCK, _WIDTH = 4096, 16
_ROWS = 4  # finished tasks read side by side
SPACE = 2 + _ROWS  # blocks that a step works in
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


@intrinsic
def _four_dots(_context, a, b, step, count):
    """Inner products of `count` float32 at address a, a multiple of 32, with those at b, b + step, b + 2
    step and b + 3 step bytes: two vectors of partial sums each, added as a tree.

    In vector instructions because the compiler may not reorder a sum by itself; four at a time because one
    stream from memory does not fill the line.
    """
    lanes = ir.VectorType(ir.FloatType(), _WIDTH)

    def load(builder, address):
        return builder.load(builder.inttoptr(address, lanes.as_pointer()), align=4, typ=lanes)

    def instructions(context, builder, signature, args):
        zero = ir.Constant(lanes, [0.0] * _WIDTH)
        totals = [[cgutils.alloca_once_value(builder, zero) for _ in range(2)] for _ in range(_ROWS)]
        for place in (place for row in totals for place in row):
            builder.store(zero, place)
        kind, size = args[0].type, 2 * _WIDTH
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(lanes, [lanes] * 3), f"llvm.fma.v{_WIDTH}f32"
        )
        with cgutils.for_range(builder, builder.sdiv(args[3], kind(size))) as loop:
            for half in range(2):
                at = builder.add(builder.mul(loop.index, kind(4 * size)), kind(4 * half * _WIDTH))
                x = load(builder, builder.add(args[0], at))
                for row in range(_ROWS):
                    start = builder.add(args[1], builder.mul(args[2], kind(row)))
                    y, place = load(builder, builder.add(start, at)), totals[row][half]
                    builder.store(builder.call(fma, [x, y, builder.load(place)]), place)
        sums = [_tree(builder, builder.fadd(*map(builder.load, row))) for row in totals]
        return context.make_tuple(builder, signature.return_type, sums)

    return types.UniTuple(types.float32, _ROWS)(a, b, step, count), instructions


def _tree(builder, left):
    """The sum of a vector's lanes."""
    half = _WIDTH // 2
    while half:
        numbers = ir.VectorType(ir.IntType(32), half)
        low, high = (
            builder.shuffle_vector(left, left, ir.Constant(numbers, list(range(first, first + half))))
            for first in (0, half)
        )
        left, half = builder.fadd(low, high), half // 2
    return builder.extract_element(left, ir.IntType(32)(0))


@compiled
def _dots(m, u, step, n, out):
    """out[:4] += the inner products of n numbers at address m with those at u, u + step, u + 2 step, u + 3
    step.
    """
    whole = n - n % 32
    sums = _four_dots(m, u, step, whole)
    for row in range(_ROWS):
        out[row] += sums[row]
        a, b = _floats(m + 4 * whole, n - whole), _floats(u + row * step + 4 * whole, n - whole)
        for j in range(n - whole):
            out[row] += a[j] * b[j]


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
def _rows(row, column, n, at, k, first, old, kind, held):
    """Returns (address, bytes from row to row) of block `at` of finished tasks first .. first + 3: in
    memory if they are float32 and all there, else copied into `held` (4, BLOCK), zeros for those that are
    not.
    """
    if kind == FLOAT and first + _ROWS <= old:
        return np.int64(row[column] + 4 * (first * n + at)), np.int64(4 * n)
    for r in range(_ROWS):
        if first + r >= old:
            held[r, :k] = _ZERO
        elif kind == FLOAT:
            held[r, :k] = _floats(row[column] + 4 * ((first + r) * n + at), k)
        else:
            _widen(row[column] + 2 * ((first + r) * n + at), k, kind, held[r])
    return np.int64(held.ctypes.data), np.int64(4 * BLOCK)


@compiled
def _first_pass(row, n, old, kind, settings, dots, space):
    """Moves M and V on; dots[:old] <- <M, U_s>; returns <M, M>."""
    beta1, rest1, beta2, rest2, sign, decay = settings
    gradient, held, square = space[0], space[1 : 1 + _ROWS], np.zeros(_ROWS)
    dots[:] = 0.0
    for at in range(0, n, BLOCK):
        k = min(BLOCK, n - at)
        p, g = _floats(row[P] + 4 * at, k), _floats(row[G] + 4 * at, k)
        m, v = _floats(row[M] + 4 * at, k), _floats(row[V] + 4 * at, k)
        _gradient(g, p, sign, decay, gradient)
        _moments(gradient[:k], m, v, beta1, rest1, beta2, rest2)
        _dots(row[M] + 4 * at, row[M] + 4 * at, 0, k, square)
        for first in range(0, old, _ROWS):
            place, step = _rows(row, U_OLD, n, at, k, first, old, kind, held)
            _dots(row[M] + 4 * at, place, step, k, dots[first : first + _ROWS])
    return square[0]


@compiled
def _add_four(total, a0, a1, a2, a3, v0, v1, v2, v3):
    for j in range(total.shape[0]):
        total[j] = fma(a3, v3[j], fma(a2, v2[j], fma(a1, v1[j], fma(a0, v0[j], total[j]))))


@compiled
def _scale(own, v, total):
    for j in range(v.shape[0]):
        total[j] = own * v[j]


@compiled
def _add_old(row, n, at, k, old, kind, alphas, total, held):
    """total += sum of the finished tasks' weights times their second moments."""
    for first in range(0, old, _ROWS):
        place, step = _rows(row, V_OLD, n, at, k, first, old, FLOAT if kind == HALF else kind, held)
        a = alphas[first : first + _ROWS]
        _add_four(
            total, np.float32(a[0]), np.float32(a[1]), np.float32(a[2]), np.float32(a[3]),
            _floats(place, k), _floats(place + step, k), _floats(place + 2 * step, k),
            _floats(place + 3 * step, k),
        )  # fmt: skip


@compiled
def _move(p, top, total, rate, late, eps, most):
    """p <- p - rate top / (√total / late + eps), no further than `most`."""
    for j in range(p.shape[0]):
        step = rate * top[j] / (math.sqrt(total[j]) * late + eps)
        p[j] -= min(max(step, -most), most)


@compiled
def _second_pass(row, n, old, kind, settings, own, alphas, rate, late, eps, most, use_m, space):
    sign, decay = settings[4], settings[5]
    gradient, held = space[0], space[1 : 1 + _ROWS]
    for at in range(0, n, BLOCK):
        k = min(BLOCK, n - at)
        p, m, v = _floats(row[P] + 4 * at, k), _floats(row[M] + 4 * at, k), _floats(row[V] + 4 * at, k)
        total = space[1 + _ROWS, :k]
        _scale(own, v, total)
        _add_old(row, n, at, k, old, kind, alphas, total, held)
        if use_m:
            _move(p, m, total, rate, late, eps, most)
        else:
            _gradient(_floats(row[G] + 4 * at, k), p, sign, decay, gradient)
            _move(p, gradient[:k], total, rate, late, eps, most)


@compiled
def step(table, sizes, counts, kind, settings, b, own, rate, late, eps, most, use_m, space):
    """One step.

    Args: table — int64 (tensors, 7), addresses; sizes, counts — int64 (tensors,): numbers of each, and
        finished tasks; kind — FLOAT, BFLOAT (directions and second moments) or HALF (directions); settings
        — beta1, 1 - beta1, beta2, 1 - beta2 (adagrad: 1, 1), sign of the gradient, weight decay; own —
        weight of the present second moment; late — factor of the root; most — largest move; use_m — move
        by M, else by the gradient; space — float32 (SPACE, BLOCK).
    """
    alphas = np.zeros(counts.max() + _ROWS)
    for number in range(sizes.shape[0]):
        row, n, old = table[number], sizes[number], counts[number]
        square = _first_pass(row, n, old, kind, settings, alphas, space)
        scale = 1 / math.sqrt(square) if square > 0 else 0.0
        sums = numba.carray(_pointer(row[ALPHA_SUM], types.float64), old)
        for s in range(old):
            alphas[s] = min(max(math.exp(min(-b * alphas[s] * scale, 700.0)), SMALLEST), LARGEST)
            sums[s] += alphas[s]
        _second_pass(row, n, old, kind, settings, own, alphas, rate, late, eps, most, use_m, space)
