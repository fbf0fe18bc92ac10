"""Sixteen float32 side by side, as a value that compiled loops can hold.

The loops that share what they load among four rows write to four places and read from eight; the compiler
will not vectorise those by itself, since it cannot tell the places apart.  So they say what they mean.  A
processor with narrower registers computes the same bits in more instructions.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,type-arg,misc"
# mypy: disable-error-code="import-untyped"
# Types are numba's: arrays of float32, C-contiguous and addressed flat whatever their shape; int64 scalars.

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 16
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)
_NUMBERS = ir.VectorType(ir.IntType(32), LANES)
_ALIGN = ir.Constant(ir.IntType(32), 4)


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind) -> None:
        super().__init__(manager, kind, _VECTOR)


_lanes = _Lanes()


def _place(context, builder, kind, array, at):
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _VECTOR.as_pointer())


def _repeat(builder, scalar, kind):
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_NUMBERS, [0] * LANES))


def _first(builder, n):
    """Bits of the first n lanes."""
    limit = _repeat(builder, builder.trunc(n, ir.IntType(32)), _NUMBERS)
    return builder.icmp_signed("<", ir.Constant(_NUMBERS, list(range(LANES))), limit)


def _call(builder, name, returns, args):
    kind = ir.FunctionType(returns, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


@intrinsic
def load(_context, array, at):
    """The sixteen entries from place `at` on."""

    def make(context, builder, signature, args):
        return builder.load(_place(context, builder, signature.args[0], *args), align=4, typ=_VECTOR)

    return _lanes(array, at), make


@intrinsic
def store(_context, array, at, lanes):
    """Write sixteen entries from place `at` on."""

    def make(context, builder, signature, args):
        builder.store(args[2], _place(context, builder, signature.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, at, lanes), make


@intrinsic
def load_first(_context, array, at, n):
    """Up to n entries from place `at` on, zeros in the lanes left; nothing further is touched."""

    def make(context, builder, signature, args):
        place = _place(context, builder, signature.args[0], *args[:2])
        parts = [place, _ALIGN, _first(builder, args[2]), ir.Constant(_VECTOR, [0.0] * LANES)]
        return _call(builder, f"llvm.masked.load.v{LANES}f32.p0", _VECTOR, parts)

    return _lanes(array, at, types.intp), make


@intrinsic
def store_first(_context, array, at, n, lanes):
    """Write up to n entries from place `at` on; nothing further is touched."""

    def make(context, builder, signature, args):
        place = _place(context, builder, signature.args[0], *args[:2])
        parts = [args[3], place, _ALIGN, _first(builder, args[2])]
        _call(builder, f"llvm.masked.store.v{LANES}f32.p0", ir.VoidType(), parts)
        return context.get_dummy_value()

    return types.void(array, at, types.intp, lanes), make


@intrinsic
def repeat(_context, number):
    """The same number in all lanes."""

    def make(_context, builder, _signature, args):
        return _repeat(builder, args[0], _VECTOR)

    return _lanes(types.float32), make


@intrinsic
def multiply_add(_context, a, b, c):
    """a * b + c lane by lane, rounded once."""

    def make(_context, builder, _signature, args):
        return _call(builder, f"llvm.fma.v{LANES}f32", _VECTOR, list(args))

    return _lanes(a, b, c), make


@intrinsic
def where_positive(_context, test, lanes):
    """The lanes where test is above zero, zeros elsewhere."""

    def make(_context, builder, _signature, args):
        zeros = ir.Constant(_VECTOR, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">", args[0], zeros), args[1], zeros)

    return _lanes(test, lanes), make


@intrinsic
def total(_context, lanes):
    """The sum over the lanes, added as a tree."""

    def make(_context, builder, _signature, args):
        left, half = args[0], LANES // 2
        while half:
            parts = list(range(half)), list(range(half, 2 * half))
            numbers = ir.VectorType(ir.IntType(32), half)
            low, high = (builder.shuffle_vector(left, left, ir.Constant(numbers, part)) for part in parts)
            left, half = builder.fadd(low, high), half // 2
        return builder.extract_element(left, ir.Constant(ir.IntType(32), 0))

    return types.float32(lanes), make


@intrinsic
def used(_context, a, b, c, d):
    """Bit l is set where lane l is not zero in one of the four."""

    def make(_context, builder, _signature, args):
        zeros, bits = ir.Constant(_VECTOR, [0.0] * LANES), ir.Constant(_BITS, [0] * LANES)
        for lanes in args:
            bits = builder.or_(bits, builder.fcmp_unordered("!=", lanes, zeros))
        return builder.zext(builder.bitcast(bits, ir.IntType(LANES)), ir.IntType(64))

    return types.int64(a, b, c, d), make


@intrinsic
def lowest_bit(_context, bits):
    """The number of the lowest set bit of a number that is not zero."""

    def make(_context, builder, _signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), make


@intrinsic
def flip(_context, source, at, stride, n_rows, n_columns, target, to, target_stride):
    """target[to + j * target_stride + i] <- source[at + i * stride + j] for sixteen i and sixteen j: zeros
    where i >= n_rows or j >= n_columns.
    """

    def make(context, builder, signature, args):
        source, at, stride, n_rows, n_columns, target, to, target_stride = args
        kinds = signature.args
        none, zeros = ir.Constant(_BITS, [0] * LANES), ir.Constant(_VECTOR, [0.0] * LANES)
        columns, rows = _first(builder, n_columns), []
        for i in range(LANES):
            number = ir.Constant(stride.type, i)
            place = _place(context, builder, kinds[0], source, builder.add(at, builder.mul(number, stride)))
            used = builder.select(builder.icmp_signed("<", number, n_rows), columns, none)
            parts = [place, _ALIGN, used, zeros]
            rows.append(_call(builder, f"llvm.masked.load.v{LANES}f32.p0", _VECTOR, parts))
        step = 1
        while step < LANES:  # swap the off-diagonal halves of blocks of 2, 4, 8, 16
            for i in range(LANES):
                if i & step:
                    continue
                upper = [LANES + lane - step if lane & step else lane for lane in range(LANES)]
                lower = [LANES + lane if lane & step else lane + step for lane in range(LANES)]
                pair = rows[i], rows[i + step]
                rows[i] = builder.shuffle_vector(*pair, ir.Constant(_NUMBERS, upper))
                rows[i + step] = builder.shuffle_vector(*pair, ir.Constant(_NUMBERS, lower))
            step *= 2
        for j, row in enumerate(rows):
            shift = builder.mul(ir.Constant(target_stride.type, j), target_stride)
            place = _place(context, builder, kinds[5], target, builder.add(to, shift))
            builder.store(row, place, align=4)
        return context.get_dummy_value()

    counts = [types.intp] * 4
    return types.void(source, *counts, target, types.intp, types.intp), make
