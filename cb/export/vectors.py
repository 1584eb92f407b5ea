"""Sums of weighted rows that stay in vector registers.

Numba alone keeps sums of more than one number in memory and reads and writes
them for every few entries, which takes two to three times as long.
"""

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils
from numba.core import types
from numba.extending import intrinsic

# Floats that are summed at the same time: as many registers as hide how long
# an addition takes.
_INDEPENDENT = 64
# Bytes at a multiple of which every row must lie.
_LINE = 64
# Sums may be taken in any order, but NaN and infinity count.
_RELAXED = ("reassoc", "contract", "nsz")
_FLOAT, _INDEX, _INTEGER = ir.FloatType(), ir.IntType(64), ir.IntType(32)


class _Code:
    """Writes the parts of a sum.

    Args:
        builder: Of llvmlite, where it stands in a function.
        width: Integer, the length of a row.
    """

    def __init__(self, builder, width: int):
        self._builder = builder
        self._width = width
        self._vector = ir.VectorType(_FLOAT, width)

    def sums(self, first) -> list:
        """Begin with a number in one sum, zeros in the others."""
        numbers = [first]
        while len(numbers) * self._width < _INDEPENDENT:
            numbers.append(ir.Constant(_FLOAT, 0.0))
        sums = []
        for number in numbers:
            sums.append(cgutils.alloca_once(self._builder, self._vector))
            self._builder.store(self._spread(number), sums[-1])
        return sums

    def add(self, source, indices, values, k, total) -> None:
        """Add entry `k` to a sum."""
        builder = self._builder
        index = builder.load(builder.gep(indices, [k]))
        row = self._row(source, builder.zext(index, _INDEX))
        value = self._spread(builder.load(builder.gep(values, [k])))
        found = builder.load(row, align=_LINE)
        found = builder.fmul(found, value, flags=_RELAXED)
        found = builder.fadd(builder.load(total), found, flags=_RELAXED)
        builder.store(found, total)

    def store(self, sums, target, row) -> None:
        """Write the sum of sums to a row."""
        builder = self._builder
        result = builder.load(sums[0])
        for total in sums[1:]:
            result = builder.fadd(result, builder.load(total), flags=_RELAXED)
        builder.store(result, self._row(target, row), align=_LINE)

    def _row(self, matrix, number):
        rows = self._builder.bitcast(matrix, self._vector.as_pointer())
        return self._builder.gep(rows, [number])

    def _spread(self, number):
        nothing = ir.Constant(self._vector, ir.Undefined)
        one = self._builder.insert_element(nothing, number, _INTEGER(0))
        everywhere = ir.VectorType(_INTEGER, self._width)
        zeros = ir.Constant(everywhere, [0] * self._width)
        return self._builder.shuffle_vector(one, nothing, zeros)


def weighted_sum(width: int) -> Callable:
    """Return a function for Numba that sums weighted rows of a matrix.

    Args:
        width: Integer, the length of a row.

    Returns:
        Function `(target, row, source, indices, values, start, end, first)`
        that sets row `row` of `target` to `first` plus the sum of `values[k]
        * source[indices[k]]` for `k` from `start` to `end`. `target` and
        `source` are float32 arrays `(rows, width)` that lie at multiples of
        64 bytes, `indices` are unsigned, and nothing is checked.
    """

    def generate(context, builder, signature, given):
        target, row, source, indices, values, start, end, first = given
        pointers = [
            context.make_array(signature.args[n])(context, builder, given[n])
            for n in (0, 2, 3, 4)
        ]
        target, source, indices, values = (array.data for array in pointers)
        code = _Code(builder, width)
        sums = code.sums(first)
        ways = len(sums)
        rest = builder.urem(builder.sub(end, start), _INDEX(ways))
        middle = builder.sub(end, rest)
        loop = cgutils.for_range_slice
        with loop(builder, start, middle, _INDEX(ways), inc=True) as (k, _):
            for number, total in enumerate(sums):
                entry = builder.add(k, _INDEX(number))
                code.add(source, indices, values, entry, total)
        with loop(builder, middle, end, _INDEX(1), inc=True) as (k, _):
            code.add(source, indices, values, k, sums[0])
        code.store(sums, target, row)
        return context.get_dummy_value()

    @intrinsic
    def function(
        typing, target, row, source, indices, values, start, end, first
    ):
        return types.void(
            target,
            types.uint64,
            source,
            indices,
            values,
            types.uint64,
            types.uint64,
            types.float32,
        ), generate

    return function
