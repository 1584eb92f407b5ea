"""Sparse products compiled by Numba: a chain of layers on a few examples.

Matrices are `(outputs, inputs)` in CSR form, those of all layers stacked:
`starts` numbers the rows through, `indices` count within a layer. A tile
holds some examples with the examples as the last axis, so that every weight
that is read serves all of them by one vector operation.
"""

import numba
import numpy as np

# What is computed is not reordered for NaN and infinity to get lost.
_RELAXED = {"reassoc", "contract", "nsz"}
# How many examples a tile can hold: from a vector of 512 bits to as many as
# leave the inputs of a wide layer in the second cache.
TILES = (16, 32, 64)
ACTIVATIONS = ("linear", "relu", "relu6", "tanh", "sigmoid")
_ZERO, _ONE, _SIX = np.float32(0), np.float32(1), np.float32(6)


@numba.njit(nogil=True, fastmath=_RELAXED, cache=True, inline="always")
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


@numba.njit(nogil=True, fastmath=_RELAXED, cache=True)
def few(x, y, scratch, widths, codes, starts, indices, values, biases):
    """Run a chain of layers on examples one after the other.

    Args:
        x: Float array `(examples, inputs)`.
        y: Float array `(examples, outputs)`, filled.
        scratch: Float array `(2, width, ...)`, overwritten; `width` is the
            largest of `widths`.
        widths: Integer array, inputs of the chain and outputs of each layer.
        codes: Integer array, for each layer a position in `ACTIVATIONS`.
        starts: Integer array, where the entries of every row start.
        indices: Integer array, the column of every entry.
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


def _accumulator(tile):
    """Return the function that adds the entries of a row to sums."""

    @numba.njit(nogil=True, fastmath=_RELAXED, cache=True)
    def add(sums, source, indices, values, k, end):
        # Eight entries at a time, so that sums are seldom read and written.
        while k + 8 <= end:
            v0, v1 = values[k], values[k + 1]
            v2, v3 = values[k + 2], values[k + 3]
            v4, v5 = values[k + 4], values[k + 5]
            v6, v7 = values[k + 6], values[k + 7]
            i0, i1 = indices[k], indices[k + 1]
            i2, i3 = indices[k + 2], indices[k + 3]
            i4, i5 = indices[k + 4], indices[k + 5]
            i6, i7 = indices[k + 6], indices[k + 7]
            for j in range(tile):
                sums[j] += (
                    v0 * source[i0, j]
                    + v1 * source[i1, j]
                    + v2 * source[i2, j]
                    + v3 * source[i3, j]
                    + v4 * source[i4, j]
                    + v5 * source[i5, j]
                    + v6 * source[i6, j]
                    + v7 * source[i7, j]
                )
            k += 8
        while k < end:
            value, index = values[k], indices[k]
            for j in range(tile):
                sums[j] += value * source[index, j]
            k += 1

    return add


def _many(tile):
    """Return the function for tiles of some size, which it is built for."""
    add = _accumulator(tile)

    @numba.njit(nogil=True, fastmath=_RELAXED, cache=True)
    def run(x, y, scratch, widths, codes, starts, indices, values, biases):
        sums = np.empty(tile, np.float32)
        source, target = scratch[0], scratch[1]
        for first in range(0, len(x), tile):
            present = min(tile, len(x) - first)
            for j in range(present):
                for i in range(widths[0]):
                    source[i, j] = x[first + j, i]
            row = 0
            for layer in range(len(codes)):
                code = codes[layer]
                for output in range(widths[layer + 1]):
                    for j in range(tile):
                        sums[j] = biases[row]
                    start, end = starts[row], starts[row + 1]
                    add(sums, source, indices, values, start, end)
                    if code == 1:
                        for j in range(tile):
                            s = sums[j]
                            target[output, j] = _ZERO if s < _ZERO else s
                    else:
                        for j in range(tile):
                            target[output, j] = _activate(sums[j], code)
                    row += 1
                source, target = target, source
            for j in range(present):
                for i in range(y.shape[1]):
                    y[first + j, i] = source[i, j]

    return run


# From the size of a tile to the function; arguments as of `few`, with
# `scratch` of shape `(2, width, tile)`.
MANY = {tile: _many(tile) for tile in TILES}
