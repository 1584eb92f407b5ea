"""LLVM code for products of CSR matrices and examples that are the last axis.

Each entry is multiplied with vectors of examples, whose sums stay in registers.
"""

from llvmlite import ir
from numba.core import cgutils
from numba.core import types
from numba.extending import intrinsic

from cb.kernels.vectors import LANES
from cb.kernels.vectors import Code
from cb.kernels.vectors import sum_in_ways

_FLOAT, _INDEX, _INTEGER = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)


@intrinsic
def pointer(typing, address):
    """Return an address as a pointer."""

    def generate(context, builder, signature, given):
        return builder.inttoptr(given[0], cgutils.voidptr_t)

    return types.voidptr(types.intp), generate


@intrinsic
def increase(typing, address, amount):
    """Add to an integer that threads share; return what it was."""

    def generate(context, builder, signature, given):
        place = builder.inttoptr(given[0], _INDEX.as_pointer())
        return builder.atomic_rmw("add", place, given[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def exchange(typing, address, value):
    """Replace an integer that threads share; return what it was."""

    def generate(context, builder, signature, given):
        place = builder.inttoptr(given[0], _INDEX.as_pointer())
        return builder.atomic_rmw("xchg", place, given[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def replace(typing, address, expected, value):
    """Replace an integer if it is the expected one; return what it was."""

    def generate(context, builder, signature, given):
        place = builder.inttoptr(given[0], _INDEX.as_pointer())
        order = "seq_cst", "seq_cst"
        found = builder.cmpxchg(place, given[1], given[2], *order)
        return builder.extract_value(found, 0)

    return types.int64(types.int64, types.int64, types.int64), generate


def address_of(symbol: str):
    """Return a function without arguments that returns a symbol's address."""

    @intrinsic
    def address(typing):
        def generate(context, builder, signature, given):
            kind, module = ir.FunctionType(_INDEX, []), builder.module
            found = cgutils.get_or_insert_function(module, kind, symbol)
            return builder.ptrtoint(found, _INDEX)

        return types.int64(), generate

    return address


def _item(builder, array, number, kind):
    """Return the pointer to an item of an array at an address."""
    array = builder.inttoptr(array, kind.as_pointer())
    return builder.gep(array, [number])


def _row(builder, source, pitch, indices, k):
    """Return the address of the row of an entry."""
    index = builder.load(_item(builder, indices, k, _INTEGER))
    place = builder.mul(builder.sext(index, _INDEX), pitch)
    return builder.add(source, place)


def _total(code, vector):
    """Return the sum of the lanes of a vector."""
    size = LANES
    while size > 1:
        size //= 2
        nothing = ir.Constant(vector.type, ir.Undefined)
        kind = ir.VectorType(_INTEGER, size)
        halves = [
            ir.Constant(kind, [*range(first, first + size)])
            for first in (0, size)
        ]
        vector = code.add(
            *(
                code.builder.shuffle_vector(vector, nothing, half)
                for half in halves
            )
        )
    return code.builder.extract_element(vector, _INTEGER(0))


def _sums(vectors: int):
    """Return the function that computes some vectors of one row of a product.

    It takes one tuple: the address of the source's first row, the bytes of a
    row, addresses of indices and weights, the first entry and the end, what
    sums begin with, the address of the target and whether negative sums
    become zero.
    """
    # So many sums that an addition need not wait for the one before.
    ways = max(1, 8 // vectors)

    def generate(context, builder, signature, arguments):
        given = cgutils.unpack_tuple(builder, arguments[0])
        source, pitch, indices, weights, start, end, first, target, kind = given
        code = Code(builder)
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        first = code.spread(first)
        sums = [
            [code.variable(zero if way else first) for _ in range(vectors)]
            for way in range(ways)
        ]

        def add(k, totals):
            place = _row(builder, source, pitch, indices, k)
            weight = builder.load(_item(builder, weights, k, _FLOAT))
            weight = code.spread(weight)
            for number, total in enumerate(totals):
                found = code.multiply(weight, code.load(place, number))
                builder.store(code.add(builder.load(total), found), total)

        totals = sum_in_ways(builder, sums, start, end, add, code.add)
        rectified = code.spread(builder.icmp_signed("!=", kind, _INDEX(0)))
        for number, total in enumerate(totals):
            # NaN stays.
            below = builder.fcmp_ordered("<", total, zero)
            below = builder.and_(below, rectified)
            total = builder.select(below, zero, total)
            code.store(total, target, number)
        return context.get_dummy_value()

    @intrinsic
    def block(typing, given):
        return types.void(given), generate

    return block


def _dots(vectors: int):
    """Return the function that adds to the gradients of the entries of a row.

    It takes one tuple: the address of the first row of the inputs, the bytes
    of a row, the address of the indices, the first entry and the end, the
    address of the errors, that of the gradients, and how many lanes at the
    beginning do not count.
    """

    def generate(context, builder, signature, arguments):
        given = cgutils.unpack_tuple(builder, arguments[0])
        source, pitch, indices, start, end, errors, target, skipped = given
        code = Code(builder)
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        lanes = ir.Constant(ir.VectorType(_INDEX, LANES), [*range(LANES)])
        counts = builder.icmp_signed(">=", lanes, code.spread(skipped))

        def load(address, number):
            found = code.load(address, number)
            return builder.select(counts, found, zero) if last else found

        last = vectors == 1
        factors = [load(errors, number) for number in range(vectors)]
        loop = cgutils.for_range_slice
        with loop(builder, start, end, _INDEX(1), inc=True) as (k, _):
            place = _row(builder, source, pitch, indices, k)
            total = zero
            for number, factor in enumerate(factors):
                found = code.multiply(factor, load(place, number))
                total = code.add(total, found)
            gradient = _item(builder, target, k, _FLOAT)
            total = code.add(builder.load(gradient), _total(code, total))
            builder.store(total, gradient)
        return context.get_dummy_value()

    @intrinsic
    def block(typing, given):
        return types.void(given), generate

    return block


sums_1, sums_2, sums_4, sums_8 = (_sums(n) for n in (1, 2, 4, 8))
dots_1, dots_2, dots_4, dots_8 = (_dots(n) for n in (1, 2, 4, 8))
