"""Products of examples with sparse matrices, compiled by Numba.

Matrices `(outputs, inputs)` are in CSR form. Examples are processed in tiles
whose last axis is the examples, so that each weight that is read is multiplied
with all of them by vector operations.

Everything is in one file because Numba's cache only checks the file of a
function, not the files of the functions that it calls, for changes.

Inference has kernels of its own, those of `cb.engine`: training keeps the
transposed inputs for the gradients, and sums in another order would change the
bits of runs that already exist.
"""

import numba
import numpy as np

# No `nnan` or `ninf`: NaN and infinity must propagate.
FASTMATH = {"reassoc", "contract", "nsz"}
# Columns transposed at a time; with a tile of examples they fit in the L1
# cache.
_BLOCK = 64
# Outputs of a tile transposed at a time: one cache line.
_OUTPUTS = 16


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
