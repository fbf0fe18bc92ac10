"""A small matrix product held in vector registers, which convolutions and their gradients are made of.

Written in vector instructions because a compiler does not keep an array of accumulators in registers by
itself.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,import-untyped"
# Types are numba's.

from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


def wide() -> bool:
    """Whether this processor has the vectors of 16 floats that a tile's accumulators fit in."""
    return bool(llvm.get_host_cpu_features().get("avx512f", False))


def tile_of(rows: int, vectors: int, last: int) -> Any:
    """Returns a function for compiled code, tile(counts, x, x_at, x_steps, b, b_at, b_steps, out, out_at,
    out_step): out[out_at + p out_step + 16 v + j] <- sum over (q, r, i) in counts of
    x[x_at + (q, r, i, p) · x_steps] b[b_at + (q, r, i) · b_steps + 16 v + j], p < rows, v < vectors.

    Args: last — lanes j in the last vector.  Arrays are flat float32, steps tuples of int64.
    """

    @intrinsic
    def tile(_context, counts, x, x_at, x_steps, b, b_at, b_steps, out, out_at, out_step):
        kinds = (counts, x, x_at, x_steps, b, b_at, b_steps, out, out_at, out_step)

        def instructions(context, builder, signature, args):
            data = [context.make_array(signature.args[k])(context, builder, args[k]).data for k in (1, 4, 7)]
            _emit(builder, (rows, vectors, last), data, args)
            return context.get_dummy_value()

        return numba.types.void(*kinds), instructions

    return tile


def _emit(builder, shape, data, args):
    """The three loops with rows × vectors accumulators."""
    rows, vectors, last = shape
    x, b, out = data
    counts, x_steps, b_steps = (cgutils.unpack_tuple(builder, args[k]) for k in (0, 3, 6))
    zero = ir.Constant(_VECTOR, [0.0] * LANES)
    total = [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(rows)]
    for row in total:
        for place in row:
            builder.store(zero, place)
    with cgutils.for_range(builder, counts[0]) as q, cgutils.for_range(builder, counts[1]) as r:
        starts = [
            builder.add(at, builder.add(builder.mul(q.index, steps[0]), builder.mul(r.index, steps[1])))
            for at, steps in ((args[2], x_steps), (args[5], b_steps))
        ]
        with cgutils.for_range(builder, counts[2]) as i:
            x_at, b_at = (
                builder.add(start, builder.mul(i.index, steps[2]))
                for start, steps in zip(starts, (x_steps, b_steps), strict=True)
            )
            parts = [_load(builder, b, b_at, v, last if v == vectors - 1 else LANES) for v in range(vectors)]
            for p in range(rows):
                at = builder.add(x_at, builder.mul(ir.Constant(x_at.type, p), x_steps[3]))
                factor = _spread(builder, builder.load(builder.gep(x, [at])))
                for v in range(vectors):
                    place = total[p][v]
                    builder.store(_fma(builder, factor, parts[v], builder.load(place)), place)
    for p in range(rows):
        at = builder.add(args[8], builder.mul(ir.Constant(args[8].type, p), args[9]))
        for v in range(vectors):
            _store(builder, builder.load(total[p][v]), out, at, v, last if v == vectors - 1 else LANES)


def _call(builder, name, result, arguments):
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _fma(builder, a, b, c):
    """a * b + c, rounded once."""
    return _call(builder, "llvm.fma.v16f32", _VECTOR, [a, b, c])


def _spread(builder, value):
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _place(builder, base, at, vector):
    at = builder.add(at, ir.Constant(at.type, vector * LANES))
    return builder.bitcast(builder.gep(base, [at]), _VECTOR.as_pointer())


def _mask(lanes):
    return ir.Constant(ir.VectorType(ir.IntType(1), LANES), [int(j < lanes) for j in range(LANES)])


def _load(builder, base, at, vector, lanes):
    """Lanes of a vector in memory; the others are 0 and are not touched."""
    place = _place(builder, base, at, vector)
    if lanes == LANES:
        return builder.load(place, align=4, typ=_VECTOR)
    rest = ir.Constant(_VECTOR, [0.0] * LANES)
    arguments = [place, ir.IntType(32)(4), _mask(lanes), rest]
    return _call(builder, "llvm.masked.load.v16f32.p0", _VECTOR, arguments)


def _store(builder, value, base, at, vector, lanes):
    place = _place(builder, base, at, vector)
    if lanes == LANES:
        builder.store(value, place, align=4)
        return
    arguments = [value, place, ir.IntType(32)(4), _mask(lanes)]
    _call(builder, "llvm.masked.store.v16f32.p0", ir.VoidType(), arguments)
