"""Products with a sparse matrix and their gradients, compiled by Numba.

A matrix `(outputs, inputs)` is in CSR form. Examples go in tiles, and in a
tile the examples are the last axis, so that every weight that is read serves
all of them by vector operations. The size of a tile is not known to the
compiler, which would unroll short loops and then not vectorise them.
"""

import numba
import numpy as np

from cb.kernels.compiled import RELAXED
from cb.kernels.compiled import turn
from cb.kernels.compiled import turn_back

# Outputs that are turned at a time: those of a line of the cache.
_LINE = 16


@numba.njit(nogil=True, fastmath=RELAXED, cache=True)
def _add(sums, source, indices, values, k, end):
    """Add the entries of a row, times their inputs, to sums."""
    tile = len(sums)
    # Four entries at a time, so that sums are seldom read and written.
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


@numba.njit(nogil=True, fastmath=RELAXED, cache=True)
def forward(first, last, x, y, turned, values, indices, starts):
    """Fill the outputs of some tiles, and their inputs turned.

    Args:
        first: Integer, number of the first tile.
        last: Integer, that after the last one.
        x: Float array `(examples, inputs)`.
        y: Float array `(examples, outputs)`, filled.
        turned: Float array `(tiles, inputs, tile)`, filled.
        values: Float array `(entries,)`.
        indices: Unsigned array `(entries,)`, the column of every entry.
            Signed ones would be checked for being negative.
        starts: Integer array `(outputs + 1,)`, where rows start.
    """
    tile = turned.shape[2]
    sums = np.empty((_LINE, tile), np.float32)
    for number in range(first, last):
        source = turned[number]
        place = slice(number * tile, (number + 1) * tile)
        rows, results = x[place], y[place]
        if len(rows) < tile:
            source[:] = 0
        turn(rows, source)
        for column in range(0, y.shape[1], _LINE):
            sums[:] = 0
            part = results[:, column : column + _LINE]
            for i in range(part.shape[1]):
                start, end = starts[column + i], starts[column + i + 1]
                _add(sums[i], source, indices, values, start, end)
            turn_back(sums[: part.shape[1]], part)


@numba.njit(nogil=True, fastmath=RELAXED, cache=True)
def backward(
    first, last, dy, dx, dvalues, turned, scratch, values, indices, starts
):
    """Fill the gradients of the inputs of some tiles, and of all entries.

    Args:
        first: Integer, number of the first tile.
        last: Integer, that after the last one.
        dy: Float array `(examples, outputs)`.
        dx: Float array `(examples, inputs)`, filled.
        dvalues: Float array `(entries,)`, filled with the part of the tiles.
        turned: Float array `(tiles, inputs, tile)`, from `forward`.
        scratch: Float array `(inputs, tile)`, overwritten.
        values: As of `forward`, as are those that follow.
        indices: See there.
        starts: See there.
    """
    tile = turned.shape[2]
    errors = np.empty((_LINE, tile), np.float32)
    dvalues[:] = 0
    for number in range(first, last):
        source = turned[number]
        place = slice(number * tile, (number + 1) * tile)
        rows = dy[place]
        errors[:] = 0
        scratch[:] = 0
        for column in range(0, dy.shape[1], _LINE):
            part = rows[:, column : column + _LINE]
            turn(part, errors)
            for i in range(part.shape[1]):
                error = errors[i]
                start, end = starts[column + i], starts[column + i + 1]
                _add_products(dvalues, error, source, indices, start, end)
                for k in range(start, end):
                    value, target = values[k], scratch[indices[k]]
                    for j in range(tile):
                        target[j] += value * error[j]
        turn_back(scratch, dx[place])


@numba.njit(nogil=True, fastmath=RELAXED, cache=True)
def _add_products(gradient, error, source, indices, k, end):
    """Add the products of errors and inputs to the gradients of a row."""
    tile = len(error)
    # Four entries at a time, so that errors are seldom read.
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
