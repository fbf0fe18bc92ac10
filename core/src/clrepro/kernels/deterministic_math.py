"""Arithmetic for compiled loops that gives the same bits however the compiler arranges the code around it.

With `fastmath` the compiler may fuse, split and reorder; what it makes of a loop then depends on the function
it was inlined into and on what came from the cache.  A first run differed from the second in the last bits,
and thousands of steps on one example each blow that up to half a point of accuracy.  So the kernels do
without, and take the two things it was good for from here: multiply-add rounded once, and a sum in lanes.
A processor without a multiply-add instruction computes the same bits, ten times slower.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg"
# mypy: disable-error-code="var-annotated,import-untyped"
# Types are numba's: float32 arrays throughout, int64 scalars.

import logging
import os
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

_LANES = 8
_log = logging.getLogger(__name__)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile lazily; keep machine code on disk where that is possible (a read-only image may offer no
    place).
    """
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        _log.debug(
            "no writable numba cache (NUMBA_CACHE_DIR=%s): compiling in memory",
            os.environ.get("NUMBA_CACHE_DIR"),
        )
        return numba.njit(nogil=True)(function)


@intrinsic
def fma(_context, a, b, c):
    """a * b + c, rounded once: asked for by name, since only then is it the same wherever it is inlined."""
    real = numba.types.float32

    def instruction(_context, builder, _signature, args):
        return builder.fma(*args)

    return real(real, real, real), instruction


@intrinsic
def _dot_lanes(_context, a, b, blocks):
    """Sum of a[j] * b[j] over the first 8 * blocks entries: eight partial sums side by side, added as a tree.

    Written in vector instructions because the compiler may not reorder a sum by itself.
    """
    lanes = ir.VectorType(ir.FloatType(), _LANES)

    def instructions(context, builder, signature, args):
        data = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args[:2], args[:2], strict=True)
        ]
        total = cgutils.alloca_once_value(builder, ir.Constant(lanes, [0.0] * _LANES))
        with cgutils.for_range(builder, args[2]) as loop:
            at = builder.mul(loop.index, ir.Constant(loop.index.type, _LANES))
            x, y = (
                builder.load(
                    builder.bitcast(builder.gep(start, [at]), lanes.as_pointer()), align=4, typ=lanes
                )
                for start in data
            )
            builder.store(builder.fadd(builder.load(total), builder.fmul(x, y)), total)
        left, half = builder.load(total), _LANES // 2
        while half:
            parts = list(range(half)), list(range(half, 2 * half))
            numbers = ir.VectorType(ir.IntType(32), half)
            low, high = (builder.shuffle_vector(left, left, ir.Constant(numbers, part)) for part in parts)
            left, half = builder.fadd(low, high), half // 2
        return builder.extract_element(left, ir.Constant(ir.IntType(32), 0))

    return numba.types.float32(a, b, numba.types.intp), instructions


@compiled
def dot(a, b):
    """Sum of a[j] * b[j], in an order fixed by the length alone."""
    blocks = a.shape[0] // _LANES
    rest = _dot_lanes(a, b, blocks)
    for j in range(blocks * _LANES, a.shape[0]):
        rest = fma(a[j], b[j], rest)
    return rest
