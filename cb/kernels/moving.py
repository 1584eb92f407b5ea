"""LLVM code that moves numbers of four bytes, by the addresses of vectors.

Written in LLVM because Numba moves them one by one, where two may lie in the
same array.
"""

from llvmlite import ir
from numba.core import cgutils
from numba.core import types
from numba.extending import intrinsic

from cb.kernels.vectors import LANES
from cb.kernels.vectors import Code

_INDEX, _INTEGER = ir.IntType(64), ir.IntType(32)
_INTEGERS = ir.VectorType(_INTEGER, LANES)
# Steps between numbers up to which these are loaded as vectors.
_FARTHEST = 4


def _turn(size: int):
    """Return the function that transposes as many rows of as many floats.

    It takes addresses, and bytes between rows, of the source and the target.
    """
    vector = ir.VectorType(ir.FloatType(), size)

    def generate(context, builder, signature, given):
        source, source_step, target, target_step = given

        def place(first, step, number):
            found = builder.add(first, builder.mul(step, _INDEX(number)))
            return builder.inttoptr(found, vector.as_pointer())

        rows = [
            builder.load(place(source, source_step, n), align=4)
            for n in range(size)
        ]
        for d in (one for one in (1, 2, 4, 8) if one < size):
            # Of pairs of rows, lanes that lie so far apart change places.
            low, high = (
                ir.Constant(ir.VectorType(_INTEGER, size), places)
                for places in (
                    [n + size - d if n & d else n for n in range(size)],
                    [n + size if n & d else n + d for n in range(size)],
                )
            )
            for n in (one for one in range(size) if not one & d):
                pair = rows[n], rows[n + d]
                rows[n] = builder.shuffle_vector(*pair, low)
                rows[n + d] = builder.shuffle_vector(*pair, high)
        for number, row in enumerate(rows):
            builder.store(row, place(target, target_step, number), align=4)
        return context.get_dummy_value()

    @intrinsic
    def turned(typing, source, source_step, target, target_step):
        index = types.int64
        return types.void(index, index, index, index), generate

    return turned


turn, turn_8 = _turn(LANES), _turn(8)


def _copy(context, builder, signature, given):
    """Emit a copy, and zeros after it up to where there is room."""
    target, source, count, step, *rest = given
    (room,) = rest or (count,)

    def places(k):
        distance = builder.shl(builder.mul(k, step), _INDEX(2))
        return (
            builder.add(target, builder.shl(k, _INDEX(2))),
            builder.add(source, distance),
        )

    known = builder.icmp_signed("<=", step, _INDEX(_FARTHEST))
    with builder.if_else(known) as (near, far):
        with near:
            _copy_vectors(builder, places, count, step, room)
        with far:
            with cgutils.for_range(builder, count) as loop:
                to, place = (
                    builder.inttoptr(one, _INTEGER.as_pointer())
                    for one in places(loop.index)
                )
                builder.store(builder.load(place, align=4), to, align=4)
            _wipe(builder, places(count)[0], builder.sub(room, count))
    return context.get_dummy_value()


@intrinsic
def copy(typing, target, source, count, step):
    """Copy numbers that lie a step apart to places after each other.

    It takes addresses, how many numbers to copy, and the step, in numbers.
    """
    index = types.int64
    return types.void(index, index, index, index), _copy


@intrinsic
def copy_row(typing, target, source, count, step, room):
    """Copy numbers as `copy` does, and set those after them to zero.

    How many numbers there are then in all is the last argument.
    """
    index = types.int64
    return types.void(index, index, index, index, index), _copy


@intrinsic
def wipe(typing, target, count):
    """Set some numbers after each other to zero.

    It takes an address, and how many.
    """

    def generate(context, builder, signature, given):
        _wipe(builder, *given)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _wipe(builder, target, count):
    zeros = ir.Constant(_INTEGERS, [0] * LANES)
    rest = builder.and_(count, _INDEX(LANES - 1))
    whole = builder.sub(count, rest)

    def place(k):
        to = builder.add(target, builder.shl(k, _INDEX(2)))
        return builder.inttoptr(to, _INTEGERS.as_pointer())

    numbers = cgutils.for_range_slice(
        builder, _INDEX(0), whole, _INDEX(LANES), inc=True
    )
    with numbers as (k, _):
        builder.store(zeros, place(k), align=4)
    inside = _inside(builder, builder.trunc(rest, _INTEGER))
    _masked(builder, "store", zeros, place(whole), _INTEGER(4), inside)


def _copy_vectors(builder, places, count, step, room):
    """Emit a copy, a vector at a time."""
    numbers = cgutils.for_range_slice(
        builder, _INDEX(0), room, _INDEX(LANES), inc=True
    )
    with numbers as (k, _):
        left = builder.trunc(builder.sub(count, k), _INTEGER)
        to, place = places(k)
        found = cgutils.alloca_once(builder, _INTEGERS)
        for one in range(1, _FARTHEST + 1):
            known = builder.icmp_signed("==", step, _INDEX(one))
            with builder.if_then(known):
                builder.store(_every(builder, place, left, one), found)
        where = builder.inttoptr(to, _INTEGERS.as_pointer())
        left = builder.trunc(builder.sub(room, k), _INTEGER)
        inside = _inside(builder, left)
        given = builder.load(found), where, _INTEGER(4), inside
        _masked(builder, "store", *given)


def _every(builder, place, left, step):
    """Emit the load of a vector of every so many numbers, as many as left."""
    left = builder.mul(left, _INTEGER(step))
    zeros = ir.Constant(_INTEGERS, [0] * LANES)
    vector = zeros
    for n in range(step):
        where = builder.add(place, _INDEX(4 * LANES * n))
        where = builder.inttoptr(where, _INTEGERS.as_pointer())
        inside = _inside(builder, builder.sub(left, _INTEGER(LANES * n)))
        given = where, _INTEGER(4), inside, zeros
        loaded = _masked(builder, "load", *given)
        # Lanes whose number lies in this vector are taken from it.
        order = [
            LANES + step * lane - LANES * n
            if step * lane // LANES == n
            else lane
            for lane in range(LANES)
        ]
        order = ir.Constant(_INTEGERS, order)
        vector = builder.shuffle_vector(vector, loaded, order)
    return vector


def _inside(builder, left):
    """Emit which lanes are before an end."""
    numbers = ir.Constant(_INTEGERS, [*range(LANES)])
    return builder.icmp_signed("<", numbers, Code(builder).spread(left))


def _masked(builder, name, *given):
    """Emit a load or a store of some lanes."""
    result = ir.VoidType() if name == "store" else given[-1].type
    kind = ir.FunctionType(result, [one.type for one in given])
    name = f"llvm.masked.{name}.v{LANES}i32.p0"
    module = builder.module
    function = cgutils.get_or_insert_function(module, kind, name)
    return builder.call(function, given)
