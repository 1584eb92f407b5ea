"""Operations on planes that are no sums of weighted vectors, and their table.

A plane holds a channel: positions, and at each the images of a tile.
"""

import numba
import numpy as np

from cb.kernels.vectors import FASTMATH

(
    LOAD,
    STORE,
    PRODUCT,
    DOTS,
    SPLIT,
    MAX_POOL,
    AVERAGE_POOL,
    GLOBAL_MAX,
    GLOBAL_AVERAGE,
    FLATTEN,
    SOFTMAX,
) = range(11)
# Fields of an operation, all integers. Places are floats from the beginning of
# the memory to the first position of the first channel, -1 for none.
_FIELDS = """
    kind source target second branch channels chunk height width plane pitch
    source_height source_width source_plane source_pitch images first_row
    first_block end_block code size_y size_x stride_y stride_x pad_y pad_x
"""
OPERATION = np.dtype(
    [(name, "i8") for name in _FIELDS.split()]
    + [(name, "f8") for name in ("slope", "threshold", "limit")]
)
_ZERO, _ONE = np.float32(0), np.float32(1)
# Channels copied at a time, a line of the cache.
_BLOCK = 16
_compiled = numba.njit(nogil=True, fastmath=FASTMATH)


@_compiled
def split(op, first, last, blocks, memory):
    """Divide some channels into their phases."""
    phases, images = op.end_block - op.first_block, op.images
    step_y, step_x = op.stride_y, op.stride_x
    source_pitch, pitch = op.source_pitch * images, op.pitch * images
    for channel in range(first, last):
        for phase in range(phases):
            row = blocks[op.first_block + phase, 0]
            column = blocks[op.first_block + phase, 1]
            height = (op.source_height - row - 1) // step_y + 1
            width = (op.source_width - column - 1) // step_x + 1
            source = op.source + channel * op.source_plane
            source += row * source_pitch + column * images
            target = op.target + (channel * phases + phase) * op.plane
            for y in range(height):
                found = source + y * step_y * source_pitch
                place = target + y * pitch
                if images == 1 and step_x == 2:
                    for x in range(width):
                        memory[place + x] = memory[found + 2 * x]
                elif images == 1:
                    for x in range(width):
                        memory[place + x] = memory[found + step_x * x]
                else:
                    for x in range(width):
                        for i in range(images):
                            memory[place + x * images + i] = memory[
                                found + x * step_x * images + i
                            ]


@_compiled
def pool(op, first, last, memory):
    """Pool some channels in windows."""
    largest, images = op.kind == MAX_POOL, op.images
    for channel in range(first, last):
        source = op.source + channel * op.source_plane
        for y in range(op.height):
            top = y * op.stride_y - op.pad_y
            bottom = min(top + op.size_y, op.source_height)
            top = max(top, 0)
            for x in range(op.width):
                left = x * op.stride_x - op.pad_x
                right = min(left + op.size_x, op.source_width)
                left = max(left, 0)
                place = op.target + channel * op.plane
                place += (y * op.pitch + x) * images
                share = _ONE / np.float32((bottom - top) * (right - left))
                for i in range(images):
                    value = -np.float32(np.inf) if largest else _ZERO
                    for row in range(top, bottom):
                        line = source + row * op.source_pitch * images + i
                        for column in range(left, right):
                            v = memory[line + column * images]
                            if largest:
                                value = v if v > value else value
                            else:
                                value += v
                    memory[place + i] = value if largest else value * share


@_compiled
def pool_all(op, first, last, memory):
    """Pool some channels over all positions."""
    largest = op.kind == GLOBAL_MAX
    share = _ONE / np.float32(op.source_height * op.source_width)
    for channel in range(first, last):
        source = op.source + channel * op.source_plane
        for i in range(op.images):
            value = -np.float32(np.inf) if largest else _ZERO
            for y in range(op.source_height):
                line = source + y * op.source_pitch * op.images + i
                if largest:
                    for x in range(op.source_width):
                        v = memory[line + x * op.images]
                        value = v if v > value else value
                else:
                    for x in range(op.source_width):
                        value += memory[line + x * op.images]
            place = op.target + channel * op.plane + i
            memory[place] = value if largest else value * share


@_compiled
def flatten(op, first, last, memory):
    """Copy some channels to one position, channels innermost."""
    for channel in range(first, last):
        for y in range(op.source_height):
            for x in range(op.source_width):
                number = (y * op.source_width + x) * op.channels + channel
                source = op.source + channel * op.source_plane
                source += (y * op.source_pitch + x) * op.images
                for i in range(op.images):
                    memory[op.target + number * op.plane + i] = memory[
                        source + i
                    ]


@_compiled
def softmax(op, memory):
    """Compute a softmax over the channels of each position."""
    for y in range(op.height):
        for cell in range(op.width * op.images):
            source = op.source + y * op.pitch * op.images + cell
            target = op.target + y * op.pitch * op.images + cell
            most = memory[source]
            for c in range(op.channels):
                v = memory[source + c * op.plane]
                most = v if v > most else most
            total = _ZERO
            for c in range(op.channels):
                v = np.exp(memory[source + c * op.plane] - most)
                total += v
                memory[target + c * op.plane] = v
            for c in range(op.channels):
                memory[target + c * op.plane] /= total


@_compiled
def load(op, x, first, count, memory):
    """Copy some examples from rows; return whether all are finite."""
    total = _ZERO
    channels, feature = op.channels, op.source
    width, plane, images = op.width, op.plane, op.images
    for i in range(first, first + count):
        for f in range(feature, feature + op.height * width * channels):
            total += x[i, f] * _ZERO
    for y in range(op.height):
        place = op.target + y * op.pitch * images
        if images == 1 and channels < _BLOCK:
            for c in range(channels):
                for column in range(width):
                    v = x[first, feature + column * channels + c]
                    memory[place + c * plane + column] = v
            feature += channels * width
            continue
        for _ in range(width):
            for begin in range(0, channels, _BLOCK):
                end = min(begin + _BLOCK, channels)
                for i in range(count):
                    for c in range(begin, end):
                        v = x[first + i, feature + c]
                        memory[place + c * plane + i] = v
            feature += channels
            place += images
    return total == _ZERO


@_compiled
def store(op, y, first, count, memory):
    """Copy some examples to rows."""
    channels, feature = op.channels, op.target
    plane, images = op.plane, op.images
    for row in range(op.height):
        place = op.source + row * op.pitch * images
        for _ in range(op.width):
            for begin in range(0, channels, _BLOCK):
                end = min(begin + _BLOCK, channels)
                for i in range(count):
                    for c in range(begin, end):
                        v = memory[place + c * plane + i]
                        y[first + i, feature + c] = v
            feature += channels
            place += images
