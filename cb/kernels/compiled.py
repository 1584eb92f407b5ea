"""Products of examples with sparse matrices, compiled by Numba.

Matrices `(outputs, inputs)` are in CSR form. Examples are processed in tiles
whose last axis is the examples, so that each weight that is read is multiplied
with all of them by vector operations.

Everything is in one file because Numba's cache only checks the file of a
function, not the files of the functions that it calls, for changes.

Inference (`run_rows`, `RUN_TILES`) and training (`forward`, `backward`) have
kernels of their own: training keeps the transposed inputs for the gradients,
and sums in another order would change the bits of runs that already exist.
"""

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core import types
from numba.extending import intrinsic

from cb.kernels.tiles import LINE
from cb.kernels.tiles import TILES

# No `nnan` or `ninf`: NaN and infinity must propagate.
FASTMATH = {"reassoc", "contract", "nsz"}
ACTIVATIONS = ("linear", "relu", "relu6", "tanh", "sigmoid")
# Columns transposed at a time; with a tile of examples they fit in the L1
# cache.
_BLOCK = 64
# Floats summed independently, in enough registers to hide the latency of an
# addition.
_INDEPENDENT = 64
# Outputs of a tile transposed at a time: one cache line.
_OUTPUTS = 16
_FLOAT, _INDEX, _INTEGER = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_ZERO, _ONE, _SIX = np.float32(0), np.float32(1), np.float32(6)


def _kept(function):
    """Compile a function, cached on disk where a folder can be written."""
    options = {"nogil": True, "fastmath": FASTMATH}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:
        return numba.njit(function, **options)


@numba.njit(nogil=True)
def to_tile(rows, tile):
    """Copy `rows[i, j]` to `tile[j, i]` in blocks that fit in the cache.

    Args:
        rows: Array `(examples, features)`.
        tile: Array that may have more rows and columns than are filled.
    """
    for first in range(0, rows.shape[1], _BLOCK):
        last = min(first + _BLOCK, rows.shape[1])
        for i in range(rows.shape[0]):
            for j in range(first, last):
                tile[j, i] = rows[i, j]


@numba.njit(nogil=True)
def from_tile(tile, rows):
    """Copy `tile[j, i]` to `rows[i, j]`; arguments as in `to_tile`."""
    to_tile(tile[: rows.shape[1], : len(rows)].T, rows.T)


@numba.njit(nogil=True, fastmath=FASTMATH, inline="always")
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


@_kept
def run_rows(x, y, scratch, widths, codes, starts, indices, values, biases):
    """Run a chain of layers on one example after the other.

    Args:
        x: Float array `(examples, inputs)`.
        y: Float array `(examples, outputs)`, filled.
        scratch: Float array `(2, width, ...)`, overwritten; `width` is the
            largest of `widths`.
        widths: Integer array, inputs of the chain and outputs of each layer.
        codes: Integer array, for each layer a position in `ACTIVATIONS`.
        starts: Array of uint64, the first entry of every row. Numba would check
            signed positions for being negative at every entry.
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
    """Emits LLVM code for the parts of a sum.

    Args:
        builder: llvmlite builder, positioned in a function.
        width: Integer, the length of a row.
    """

    def __init__(self, builder, width: int):
        self._builder = builder
        self._width = width
        self._vector = ir.VectorType(_FLOAT, width)

    def sums(self, first) -> list:
        """Start one sum with a number and the others with zero."""
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
        found = builder.load(row, align=LINE)
        found = builder.fmul(found, value, flags=(*FASTMATH,))
        found = builder.fadd(builder.load(total), found, flags=(*FASTMATH,))
        builder.store(found, total)

    def store(self, sums, target, row) -> None:
        """Store the total of the sums in a row."""
        builder = self._builder
        result = builder.load(sums[0])
        for total in sums[1:]:
            result = builder.fadd(
                result, builder.load(total), flags=(*FASTMATH,)
            )
        builder.store(result, self._row(target, row), align=LINE)

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
    typing, target, row, source, indices, values, start, end, first, width
):
    """Set row `row` of `target` to a sum of weighted rows of `source`.

    It is `first` plus the sum of `values[k] * source[indices[k]]` for `k`
    from `start` to `end`. Both matrices are `(rows, width)` in float32 and lie
    at multiples of 64 bytes, `indices` are unsigned, `width` is a constant,
    and nothing is checked. Written in LLVM because Numba keeps sums of
    vectors in memory and loads and stores them every few entries.
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


def _run_tiles(tile):
    """Return the function compiled for tiles of one size."""

    @_kept
    def run(x, y, scratch, widths, codes, starts, indices, values, biases):
        source, target = scratch[0], scratch[1]
        for first in range(0, len(x), tile):
            last = min(first + tile, len(x))
            to_tile(x[first:last], source)
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
            from_tile(source, y[first:last])

    return run


# From the size of a tile to the function; arguments as in `run_rows`, with
# `scratch` of shape `(2, width, tile)` at a multiple of 64 bytes.
RUN_TILES = {tile: _run_tiles(tile) for tile in TILES}


@numba.njit(nogil=True, fastmath=FASTMATH)
def _add(sums, source, indices, values, k, end):
    """Add the entries of a row, times their inputs, to sums."""
    tile = len(sums)
    # Four entries at a time, so that sums are loaded and stored less often.
    while k + 4 <= end:
        v0, v1, v2, v3 = values[k], values[k + 1], values[k + 2], values[k + 3]
        i0, i1 = indices[k], indices[k + 1]
        i2, i3 = indices[k + 2], indices[k + 3]
        for j in range(tile):
            sums[j] += (
                v0 * source[i0, j]
                + v1 * source[i1, j]
                + v2 * source[i2, j]
                + v3 * source[i3, j]
            )
        k += 4
    while k < end:
        value, index = values[k], indices[k]
        for j in range(tile):
            sums[j] += value * source[index, j]
        k += 1


@_kept
def forward(first, last, x, y, turned, values, indices, starts):
    """Compute the outputs of some tiles and transpose their inputs.

    Args:
        first: Integer, number of the first tile.
        last: Integer, that after the last one.
        x: Float array `(examples, inputs)`.
        y: Float array `(examples, outputs)`, filled.
        turned: Float array `(tiles, inputs, tile)`, filled.
        values: Float array `(entries,)`.
        indices: Unsigned array `(entries,)`, the column of every entry.
            Numba would check signed ones for being negative.
        starts: Integer array `(outputs + 1,)`, where rows start.
    """
    tile = turned.shape[2]
    sums = np.empty((_OUTPUTS, tile), np.float32)
    for number in range(first, last):
        source = turned[number]
        place = slice(number * tile, (number + 1) * tile)
        rows, results = x[place], y[place]
        if len(rows) < tile:
            source[:] = 0
        to_tile(rows, source)
        for column in range(0, y.shape[1], _OUTPUTS):
            sums[:] = 0
            part = results[:, column : column + _OUTPUTS]
            for i in range(part.shape[1]):
                start, end = starts[column + i], starts[column + i + 1]
                _add(sums[i], source, indices, values, start, end)
            from_tile(sums[: part.shape[1]], part)


@_kept
def backward(
    first, last, dy, dx, dvalues, turned, scratch, values, indices, starts
):
    """Compute the gradients of the inputs of some tiles and of all entries.

    Args:
        first: Integer, number of the first tile.
        last: Integer, that after the last one.
        dy: Float array `(examples, outputs)`.
        dx: Float array `(examples, inputs)`, filled.
        dvalues: Float array `(entries,)`, filled with the part of the tiles.
        turned: Float array `(tiles, inputs, tile)`, from `forward`.
        scratch: Float array `(inputs, tile)`, overwritten.
        values: As in `forward`.
        indices: As in `forward`.
        starts: As in `forward`.
    """
    tile = turned.shape[2]
    errors = np.empty((_OUTPUTS, tile), np.float32)
    dvalues[:] = 0
    for number in range(first, last):
        source = turned[number]
        place = slice(number * tile, (number + 1) * tile)
        rows = dy[place]
        errors[:] = 0
        scratch[:] = 0
        for column in range(0, dy.shape[1], _OUTPUTS):
            part = rows[:, column : column + _OUTPUTS]
            to_tile(part, errors)
            for i in range(part.shape[1]):
                error = errors[i]
                start, end = starts[column + i], starts[column + i + 1]
                _add_products(dvalues, error, source, indices, start, end)
                for k in range(start, end):
                    value, target = values[k], scratch[indices[k]]
                    for j in range(tile):
                        target[j] += value * error[j]
        from_tile(scratch, dx[place])


@numba.njit(nogil=True, fastmath=FASTMATH)
def _add_products(gradient, error, source, indices, k, end):
    """Add the products of errors and inputs to the gradients of a row."""
    tile = len(error)
    # Four entries at a time, so that errors are loaded less often.
    while k + 4 <= end:
        i0, i1 = indices[k], indices[k + 1]
        i2, i3 = indices[k + 2], indices[k + 3]
        s0 = s1 = s2 = s3 = np.float32(0)
        for j in range(tile):
            s0 += error[j] * source[i0, j]
            s1 += error[j] * source[i1, j]
            s2 += error[j] * source[i2, j]
            s3 += error[j] * source[i3, j]
        gradient[k] += s0
        gradient[k + 1] += s1
        gradient[k + 2] += s2
        gradient[k + 3] += s3
        k += 4
    while k < end:
        total, index = np.float32(0), indices[k]
        for j in range(tile):
            total += error[j] * source[index, j]
        gradient[k] += total
        k += 1
