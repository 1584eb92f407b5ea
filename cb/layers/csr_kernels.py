"""Products with a sparse matrix and their gradients, compiled by Numba.

A matrix `(outputs, inputs)` is in CSR form. Examples go in tiles, and in a
tile the examples are the last axis, so that every weight that is read serves
all of them by vector operations.
"""

import numba
import numpy as np

# What is computed is not reordered for NaN and infinity to get lost.
_RELAXED = {"reassoc", "contract", "nsz"}
_COMPILED = {"nogil": True, "fastmath": _RELAXED, "cache": True}
# Examples in a tile.
TILES = (16, 32, 64)
# Columns that are turned at a time: those of a line of the cache.
_LINE = 16


@numba.njit(**_COMPILED)
def _turn(source, first, present, column, target):
    """Copy columns of some rows of `source` into rows of `target`."""
    columns = min(_LINE, source.shape[1] - column)
    for j in range(present):
        for i in range(columns):
            target[i, j] = source[first + j, column + i]


@numba.njit(**_COMPILED)
def _turn_back(source, target, first, present, column):
    """Copy rows of `source` into columns of some rows of `target`."""
    columns = min(_LINE, target.shape[1] - column)
    for j in range(present):
        for i in range(columns):
            target[first + j, column + i] = source[i, j]


def _forward(tile):
    """Return the product for tiles of some size, which it is built for."""

    @numba.njit(**_COMPILED)
    def add(sums, source, indices, values, k, end):
        # Four entries at a time, so that sums are seldom read and written.
        while k + 4 <= end:
            v0, v1, v2, v3 = (
                values[k],
                values[k + 1],
                values[k + 2],
                values[k + 3],
            )
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

    @numba.njit(**_COMPILED)
    def forward(first, last, x, y, turned, values, indices, starts):
        """Fill the outputs of some tiles, and their inputs turned."""
        sums = np.empty((_LINE, tile), np.float32)
        for number in range(first, last):
            source, begin = turned[number], number * tile
            present = min(tile, len(x) - begin)
            if present < tile:
                source[:] = 0
            for column in range(0, x.shape[1], _LINE):
                _turn(x, begin, present, column, source[column:])
            for column in range(0, y.shape[1], _LINE):
                sums[:] = 0
                for i in range(min(_LINE, y.shape[1] - column)):
                    start, end = starts[column + i], starts[column + i + 1]
                    add(sums[i], source, indices, values, start, end)
                _turn_back(sums, y, begin, present, column)

    return forward


def _inputs_gradient(tile):
    @numba.njit(**_COMPILED)
    def run(first, last, dy, dx, scratch, values, indices, starts):
        """Fill the gradient of the inputs of some tiles."""
        errors = np.zeros((_LINE, tile), np.float32)
        for number in range(first, last):
            begin = number * tile
            present = min(tile, len(dy) - begin)
            scratch[:] = 0
            for column in range(0, dy.shape[1], _LINE):
                _turn(dy, begin, present, column, errors)
                for i in range(min(_LINE, dy.shape[1] - column)):
                    error = errors[i]
                    for k in range(starts[column + i], starts[column + i + 1]):
                        value, target = values[k], scratch[indices[k]]
                        for j in range(tile):
                            target[j] += value * error[j]
            for column in range(0, dx.shape[1], _LINE):
                _turn_back(scratch[column:], dx, begin, present, column)

    return run


def _weights_gradient(tile):
    @numba.njit(**_COMPILED)
    def run(first, last, dy, turned, gradient, indices, starts):
        """Fill the gradients of all weights from some tiles."""
        errors = np.zeros((_LINE, tile), np.float32)
        gradient[:] = 0
        for number in range(first, last):
            source, begin = turned[number], number * tile
            present = min(tile, len(dy) - begin)
            errors[:] = 0
            for column in range(0, dy.shape[1], _LINE):
                _turn(dy, begin, present, column, errors)
                for i in range(min(_LINE, dy.shape[1] - column)):
                    error = errors[i]
                    for k in range(starts[column + i], starts[column + i + 1]):
                        inputs, total = source[indices[k]], np.float32(0)
                        for j in range(tile):
                            total += error[j] * inputs[j]
                        gradient[k] += total

    return run


# From the size of a tile to the function.
FORWARD = {tile: _forward(tile) for tile in TILES}
INPUTS_GRADIENT = {tile: _inputs_gradient(tile) for tile in TILES}
WEIGHTS_GRADIENT = {tile: _weights_gradient(tile) for tile in TILES}
