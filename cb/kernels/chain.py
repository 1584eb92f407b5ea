"""Sparse products compiled by Numba: a chain of layers on a few examples.

Matrices are `(outputs, inputs)` in CSR form, those of all layers stacked:
`starts` numbers the rows through, `indices` count within a layer. A tile
holds some examples with the examples as the last axis, so that every weight
that is read serves all of them by one vector operation.
"""

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core import types
from numba.extending import intrinsic

from cb.kernels.compiled import RELAXED
from cb.kernels.compiled import turn
from cb.kernels.compiled import turn_back
from cb.kernels.tiles import TILES

ACTIVATIONS = ("linear", "relu", "relu6", "tanh", "sigmoid")
# Floats that are summed at the same time: as many registers as hide how long
# an addition takes.
_INDEPENDENT = 64
# Bytes at a multiple of which every row must lie.
_LINE = 64
_FLOAT, _INDEX, _INTEGER = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_ZERO, _ONE, _SIX = np.float32(0), np.float32(1), np.float32(6)


@numba.njit(nogil=True, fastmath=RELAXED, cache=True, inline="always")
def _activate(value, code):
    if code == 1:
        return _ZERO if value < _ZERO else value
    if code == 2:
        return _ZERO if value < _ZERO else (_SIX if value > _SIX else value)
    if code == 3:
        return np.tanh(value)
    if code == 4:
        return _ONE / (_ONE + np.exp(-value))
    return value


@numba.njit(nogil=True, fastmath=RELAXED, cache=True)
def few(x, y, scratch, widths, codes, starts, indices, values, biases):
    """Run a chain of layers on examples one after the other.

    Args:
        x: Float array `(examples, inputs)`.
        y: Float array `(examples, outputs)`, filled.
        scratch: Float array `(2, width, ...)`, overwritten; `width` is the
            largest of `widths`.
        widths: Integer array, inputs of the chain and outputs of each layer.
        codes: Integer array, for each layer a position in `ACTIVATIONS`.
        starts: Array of uint64, where the entries of every row start. Signed
            positions would be checked for being negative at every entry.
        indices: Unsigned array, the column of every entry.
        values: Float array, the entries.
        biases: Float array, one for each row.
    """
    flat = scratch.reshape(2, -1)
    for example in range(len(x)):
        source = x[example]
        row = 0
        for layer in range(len(codes)):
            target = flat[layer % 2]
            for output in range(widths[layer + 1]):
                total = biases[row]
                for k in range(starts[row], starts[row + 1]):
                    total += values[k] * source[indices[k]]
                target[output] = _activate(total, codes[layer])
                row += 1
            source = target
        y[example] = source[: y.shape[1]]


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
        found = builder.fmul(found, value, flags=(*RELAXED,))
        found = builder.fadd(builder.load(total), found, flags=(*RELAXED,))
        builder.store(found, total)

    def store(self, sums, target, row) -> None:
        """Write the sum of sums to a row."""
        builder = self._builder
        result = builder.load(sums[0])
        for total in sums[1:]:
            result = builder.fadd(
                result, builder.load(total), flags=(*RELAXED,)
            )
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


@intrinsic(prefer_literal=True)
def _weighted_sum(
    typing,
    target,
    row,
    source,
    indices,
    values,
    start,
    end,
    first,
    width,
):
    """Set row `row` of `target` to a sum of weighted rows of `source`.

    It is `first` plus the sum of `values[k] * source[indices[k]]` for `k`
    from `start` to `end`. Both matrices are `(rows, width)` in float32 and lie
    at multiples of 64 bytes, `indices` are unsigned, `width` is a constant,
    and nothing is checked. Numba alone keeps sums of more than one number in
    memory and reads and writes them for every few entries.
    """
    del typing, row, start, end, first
    if not isinstance(width, types.IntegerLiteral):
        return None
    size = width.literal_value

    def generate(context, builder, signature, given):
        target, row, source, indices, values, start, end, first, _ = given
        arrays = [
            context.make_array(signature.args[n])(context, builder, given[n])
            for n in (0, 2, 3, 4)
        ]
        target, source, indices, values = (array.data for array in arrays)
        code = _Code(builder, size)
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

    index, number = types.uint64, types.float32
    signature = types.void(
        target, index, source, indices, values, index, index, number, width
    )
    return signature, generate


def _many(tile):
    """Return the function for tiles of some size, which it is built for."""

    @numba.njit(nogil=True, fastmath=RELAXED, cache=True)
    def run(x, y, scratch, widths, codes, starts, indices, values, biases):
        source, target = scratch[0], scratch[1]
        for first in range(0, len(x), tile):
            last = min(first + tile, len(x))
            turn(x[first:last], source)
            row = 0
            for layer in range(len(codes)):
                code = codes[layer]
                for output in range(widths[layer + 1]):
                    _weighted_sum(
                        target,
                        output,
                        source,
                        indices,
                        values,
                        starts[row],
                        starts[row + 1],
                        biases[row],
                        tile,
                    )
                    if code == 1:
                        for j in range(tile):
                            s = target[output, j]
                            target[output, j] = _ZERO if s < _ZERO else s
                    elif code:
                        for j in range(tile):
                            s = target[output, j]
                            target[output, j] = _activate(s, code)
                    row += 1
                source, target = target, source
            turn_back(source, y[first:last])

    return run


# From the size of a tile to the function; arguments as of `few`, with
# `scratch` of shape `(2, width, tile)` at a multiple of 64 bytes.
MANY = {tile: _many(tile) for tile in TILES}
