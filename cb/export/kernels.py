"""Sparse products compiled by Numba: a chain of layers on a few examples.

Matrices are `(outputs, inputs)` in CSR form, those of all layers stacked:
`starts` numbers the rows through, `indices` count within a layer. A tile
holds some examples with the examples as the last axis, so that every weight
that is read serves all of them by one vector operation.
"""

import numba
import numpy as np

from cb.export.vectors import weighted_sum

# What is computed is not reordered for NaN and infinity to get lost.
_RELAXED = {"reassoc", "contract", "nsz"}
# How many examples a tile can hold: from a vector of 512 bits to as many as
# leave the inputs of a wide layer in the second cache.
TILES = (16, 32, 64)
# Inputs and outputs that are turned over at a time: with a tile of examples
# they stay in the first cache.
_BLOCK = 64
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


@numba.njit(nogil=True, cache=True)
def _turn(rows, columns):
    """Copy `rows[i, j]` to `columns[j, i]`, part by part of the cache."""
    for first in range(0, rows.shape[1], _BLOCK):
        last = min(first + _BLOCK, rows.shape[1])
        for i in range(rows.shape[0]):
            for j in range(first, last):
                columns[j, i] = rows[i, j]


@numba.njit(nogil=True, cache=True)
def _turn_back(columns, rows):
    """Copy `columns[j, i]` to `rows[i, j]`, part by part of the cache."""
    for first in range(0, rows.shape[1], _BLOCK):
        last = min(first + _BLOCK, rows.shape[1])
        for i in range(rows.shape[0]):
            for j in range(first, last):
                rows[i, j] = columns[j, i]


def _many(tile):
    """Return the function for tiles of some size, which it is built for."""
    weighted = weighted_sum(tile)

    @numba.njit(nogil=True, fastmath=_RELAXED, cache=True)
    def run(x, y, scratch, widths, codes, starts, indices, values, biases):
        source, target = scratch[0], scratch[1]
        for first in range(0, len(x), tile):
            last = min(first + tile, len(x))
            _turn(x[first:last], source)
            row = 0
            for layer in range(len(codes)):
                code = codes[layer]
                for output in range(widths[layer + 1]):
                    weighted(
                        target,
                        output,
                        source,
                        indices,
                        values,
                        starts[row],
                        starts[row + 1],
                        biases[row],
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
            _turn_back(source, y[first:last])

    return run


# From the size of a tile to the function; arguments as of `few`, with
# `scratch` of shape `(2, width, tile)` at a multiple of 64 bytes.
MANY = {tile: _many(tile) for tile in TILES}
