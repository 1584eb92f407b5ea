"""Operations on planes that are no sums of weighted vectors, and their table.

A plane holds a channel: positions, and at each the images of a tile.
"""

import numba
import numpy as np

from cb.kernels.moving import copy
from cb.kernels.moving import copy_row
from cb.kernels.moving import turn
from cb.kernels.moving import wipe
from cb.kernels.vectors import LANES
from cb.kernels.vectors import OPTIONS

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
    origin clear
"""
# Bits of `clear`: whose borders must become zero.
TARGET, SECOND = 1, 2
OPERATION = np.dtype(
    [(name, "i8") for name in _FIELDS.split()]
    + [(name, "f8") for name in ("slope", "threshold", "limit")]
)
_ZERO, _ONE = np.float32(0), np.float32(1)
_compiled = numba.njit(**OPTIONS)


@_compiled
def clear(memory, place, height, width, op):
    """Set what lies before and after an image to zero.

    Args:
        memory: Floats of all values.
        place: Integer, the float of the first position.
        height: Integer, rows of the image.
        width: Integer, columns of the image.
        op: Operation whose target, or second output, it is.
    """
    base, last = memory.ctypes.data, place
    # A phase of a narrow image may have no position.
    if height and width:
        last += ((height - 1) * op.pitch + width) * op.images
    wipe(base + 4 * (place - op.origin), op.origin)
    wipe(base + 4 * last, place - op.origin + op.plane - last)


@_compiled
def clear_rows(memory, place, op):
    """Set what lies between the rows of an image to zero."""
    row, pitch = op.width * op.images, op.pitch * op.images
    place = memory.ctypes.data + 4 * (place + row)
    for y in range(op.height - 1):
        wipe(place + 4 * y * pitch, pitch - row)


@_compiled
def clear_borders(op, first, last, memory):
    """Clear the borders of some channels before they are written."""
    if op.kind == FLATTEN:
        # These are channels of its source.
        last *= op.source_height * op.source_width
    for channel in range(first, last):
        for number in range(2):
            if op.clear >> number & 1:
                place = op.second if number else op.target
                place += channel * op.plane
                clear(memory, place, op.height, op.width, op)
                clear_rows(memory, place, op)


@_compiled
def split(op, first, last, blocks, memory):
    """Divide some channels into their phases."""
    phases, images = op.end_block - op.first_block, op.images
    step_y, step_x = op.stride_y, op.stride_x
    source_pitch, pitch = op.source_pitch * images, op.pitch * images
    source_plane, plane = op.source_plane, op.plane
    base = memory.ctypes.data
    for phase in range(phases):
        row = blocks[op.first_block + phase, 0]
        column = blocks[op.first_block + phase, 1]
        height = (op.source_height - row - 1) // step_y + 1
        width = (op.source_width - column - 1) // step_x + 1
        source = op.source + row * source_pitch + column * images
        target = op.target + phase * plane
        for channel in range(first, last):
            found = base + 4 * (source + channel * source_plane)
            to = target + channel * phases * plane
            if op.clear:
                clear(memory, to, height, width, op)
            place = base + 4 * to
            for _ in range(height):
                if step_x == 1 or images == 1:
                    copy_row(place, found, width * images, step_x, pitch)
                else:
                    for x in range(width):
                        at = 4 * x * images
                        room = images if x < width - 1 else pitch - x * images
                        copy_row(
                            place + at, found + at * step_x, images, 1, room
                        )
                place += 4 * pitch
                found += 4 * step_y * source_pitch


@_compiled
def pool(op, first, last, memory):
    """Pool some channels in windows, a row of outputs at a time."""
    images = op.images
    for channel in range(first, last):
        source = op.source + channel * op.source_plane
        for y in range(op.height):
            top = y * op.stride_y - op.pad_y
            bottom = min(top + op.size_y, op.source_height)
            top = max(top, 0)
            place = op.target + channel * op.plane + y * op.pitch * images
            start = -np.float32(np.inf) if op.kind == MAX_POOL else _ZERO
            for i in range(place, place + op.width * images):
                memory[i] = start
            for row in range(top, bottom):
                line = source + row * op.source_pitch * images
                for column in range(op.size_x):
                    _pool_column(op, place, line, column, memory)
            if op.kind == AVERAGE_POOL:
                _divide(op, place, bottom - top, memory)


@_compiled
def _pool_column(op, place, line, column, memory):
    """Take one column of the windows of a row into their outputs."""
    # The first and the last output in whose window the column is inside.
    step, images = op.stride_x, op.images
    left = max(0, -((column - op.pad_x) // step))
    right = min(op.width, (op.source_width - 1 + op.pad_x - column) // step + 1)
    place += left * images
    line += (left * step - op.pad_x + column) * images
    count = right - left
    if images == 1 and step == 1:
        _pool_run(op.kind, place, line, count, 1, memory)
    elif images == 1 and step == 2:
        _pool_run(op.kind, place, line, count, 2, memory)
    elif images == 1:
        _pool_run(op.kind, place, line, count, step, memory)
    else:
        for x in range(count):
            at, found = place + x * images, line + x * step * images
            _pool_run(op.kind, at, found, images, 1, memory)


@numba.njit(inline="always", **OPTIONS)
def _pool_run(kind, place, line, count, step, memory):
    """Take some values into the outputs; known steps compile to vectors."""
    # Numba would test every sum of two places for being negative.
    outputs, inputs = memory[place:], memory[line:]
    if kind == MAX_POOL:
        for n in range(count):
            value, found = outputs[n], inputs[step * n]
            outputs[n] = found if found > value else value
    else:
        for n in range(count):
            outputs[n] += inputs[step * n]


@_compiled
def _divide(op, place, rows, memory):
    """Divide the sums of a row of outputs by the positions in each window."""
    images = op.images
    for x in range(op.width):
        left = x * op.stride_x - op.pad_x
        right = min(left + op.size_x, op.source_width)
        share = _ONE / np.float32(rows * (right - max(left, 0)))
        for i in range(place + x * images, place + (x + 1) * images):
            memory[i] *= share


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
            source = op.source + y * op.source_pitch * op.images + cell
            target = op.target + y * op.pitch * op.images + cell
            most = memory[source]
            for c in range(op.channels):
                v = memory[source + c * op.source_plane]
                most = v if v > most else most
            total = _ZERO
            for c in range(op.channels):
                v = np.exp(memory[source + c * op.source_plane] - most)
                total += v
                memory[target + c * op.plane] = v
            for c in range(op.channels):
                memory[target + c * op.plane] /= total


@_compiled
def transpose(source, place, step, target, to, pitch, rows, columns):
    """Copy `source[place + row * step + column]`.

    To `target[to + column * pitch + row]`; both arrays are flat.
    """
    begin, end = source.ctypes.data, target.ctypes.data
    if rows == 1 and pitch == 1 or columns == 1 and step == 1:
        # A vector stays one.
        copy(end + 4 * to, begin + 4 * place, rows * columns, 1)
        return
    if columns < LANES:
        for column in range(columns):
            given = begin + 4 * (place + column)
            copy(end + 4 * (to + column * pitch), given, rows, step)
        return
    whole, ends = rows // LANES * LANES, columns // LANES * LANES
    for row in range(0, whole, LANES):
        for column in range(0, ends, LANES):
            turn(
                begin + 4 * (place + row * step + column),
                4 * step,
                end + 4 * (to + column * pitch + row),
                4 * pitch,
            )
    for column in range(columns):
        for row in range(whole if column < ends else 0, rows):
            v = source[place + row * step + column]
            target[to + column * pitch + row] = v


@_compiled
def load(op, x, first, count, memory):
    """Copy some examples from rows; return whether all are finite."""
    total = _ZERO
    channels, images = op.channels, op.images
    end = op.source + op.height * op.width * channels
    for i in range(first, first + count):
        # Of a slice, whose places cannot be negative, many at once.
        part = x[i, op.source : end]
        for f in range(len(part)):
            total += part[f] * _ZERO
    values, step = x.reshape(-1), x.shape[1]
    start = first * step + op.source
    for y in range(op.height):
        place = op.target + y * op.pitch * images
        for column in range(1 if images == 1 else op.width):
            if images == 1:
                count, step = op.width, channels
            at = place + column * images
            given = start + (y * op.width + column) * channels
            transpose(
                values, given, step, memory, at, op.plane, count, channels
            )
    return total == _ZERO


@_compiled
def store(op, y, first, count, memory):
    """Copy some examples to rows."""
    channels, images = op.channels, op.images
    values, step = y.reshape(-1), y.shape[1]
    start = first * step + op.target
    for row in range(op.height):
        place = op.source + row * op.pitch * images
        for column in range(1 if images == 1 else op.width):
            if images == 1:
                count, step = op.width, channels
            at = place + column * images
            found = start + (row * op.width + column) * channels
            transpose(
                memory, at, op.plane, values, found, step, channels, count
            )
