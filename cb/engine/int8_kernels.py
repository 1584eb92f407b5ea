"""Networks of bytes, compiled by Numba: a table of steps, run in one call.

Activations are bytes `[channels / 4][positions][4]` in one array. A weight of a
sparse product is a block of four input channels, one 32-bit number, which
`vpdpbusd` multiplies with 16 (or 8) positions at once. There is no fast math:
results are equal to NumPy's bit for bit.
"""

import pathlib
import zlib

import numba
import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from cb.engine import int8_vectors
from cb.engine.int8_vectors import LANES
from cb.engine.int8_vectors import copy
from cb.engine.int8_vectors import four_bytes
from cb.engine.int8_vectors import four_channels

# Bytes that may be read and written after the end of a value, and read before.
SLACK = 128
# Kinds of steps, and the columns of their table.
QUANTIZE, EXPAND, PRODUCT, FLOATS = range(4)
LOOK_UP, MAX_POOL, GLOBAL_MAX, GLOBAL_MEAN = range(4, 8)
COLUMNS = 16
_WIDE = LANES == 16
# Vectors of 16 positions.
_SIXTEEN = 16 // LANES if LANES else 0


def _kept(function):
    """Compile a function, cached on disk where a folder can be written."""
    try:
        return numba.njit(function, cache=True, nogil=True)
    except RuntimeError:
        return numba.njit(function, nogil=True)


@numba.njit(nogil=True)
def _expand(memory, step):
    """Write a copy of a value for every column of a kernel.

    Copy `c` of a plane of four channels holds at row `y` and column `x` what
    column `c` of the kernel is multiplied with there, at borders the zero
    point. Rows are sorted by their remainder modulo the stride. Every weight
    then reads consecutive positions.
    """
    source, target, planes, height, width = step[1:6]
    columns, dilation, top, left = step[6:10]
    stride_y, stride_x, rows, wide, zero = step[10:15]
    words = memory.view(np.uint32)
    filling = np.uint32(zero)
    for _ in range(planes):
        for column in range(columns):
            first = column * dilation - left
            # Columns of the target that are inside of the source.
            low = min(wide, max(0, -(first // stride_x)))
            high = max(low, min(wide, (width - 1 - first) // stride_x + 1))
            whole = stride_y == 1 and stride_x == 1 and wide == width
            if whole:
                size = 4 * wide * min(height, rows - top)
                copy(
                    memory, target + 4 * wide * top, source + 4 * first, size, 1
                )
            for phase in range(stride_y):
                for row in range(rows):
                    y = row * stride_y + phase - top
                    place = np.uint64(target // 4)
                    if y < 0 or y >= height:
                        for x in range(wide):
                            words[place + np.uint64(x)] = filling
                    elif not whole:
                        start = source + 4 * (y * width + first)
                        if stride_x <= 2:
                            copy(memory, target, start, 4 * wide, stride_x)
                        else:
                            for x in range(low, high):
                                words[place + np.uint64(x)] = words[
                                    np.uint64(start // 4 + x * stride_x)
                                ]
                    target += 4 * wide
            # Rows outside are filled already: a second time does no harm.
            place = np.uint64((target - 4 * wide * rows * stride_y) // 4)
            for x in range(low):
                for row in range(rows * stride_y):
                    at = np.uint64(row * wide + x)
                    words[place + at] = filling
            for x in range(high, wide):
                for row in range(rows * stride_y):
                    at = np.uint64(row * wide + x)
                    words[place + at] = filling
        source += step[15]


@numba.njit(nogil=True)
def _product(memory, step, entries, factors, factor):
    """Compute a sparse convolution, four output channels at a time."""
    source, target, residual, second = step[1], step[2], step[3], step[4]
    positions, groups, row, plane = step[5], step[6], step[7], step[8]
    done = 0
    while done < positions:
        left = positions - done
        for group in range(groups):
            here = group * plane + 4 * done
            places = (
                source + 4 * done,
                target + here,
                residual + here if residual >= 0 else -1,
                second + here if second >= 0 else -1,
                0,
            )
            at = row + 4 * group
            if _WIDE and left >= 96:
                four_channels(
                    memory, places, entries, factors, at, factor, 0, 6
                )
            elif _WIDE and left >= 64:
                four_channels(
                    memory, places, entries, factors, at, factor, 0, 4
                )
            elif _WIDE and left >= 32:
                four_channels(
                    memory, places, entries, factors, at, factor, 0, 2
                )
            else:
                four_channels(
                    memory, places, entries, factors, at, factor, 0, _SIXTEEN
                )
        if _WIDE and left >= 32:
            done += 96 if left >= 96 else (64 if left >= 64 else 32)
        else:
            done += 16


@numba.njit(nogil=True)
def _float_product(memory, step, entries, factors):
    """Compute a sparse convolution as floats `[channels][positions]`."""
    positions, groups = step[5], step[6]
    for done in range(0, positions, 16):
        for group in range(groups):
            target = step[2] + 4 * (4 * group * positions + done)
            places = (step[1] + 4 * done, target, -1, -1, 4 * positions)
            row = step[7] + 4 * group
            four_channels(
                memory,
                places,
                entries,
                factors,
                row,
                np.float32(0),
                1,
                _SIXTEEN,
            )


@numba.njit(nogil=True)
def _byte(value):
    """Round a float to a byte, halves to even ones."""
    return np.uint8(np.rint(min(max(value, np.float32(0)), np.float32(255))))


@numba.njit(nogil=True)
def _quantize(memory, step, images, factor):
    """Write floats `(images, positions, channels)` as bytes.

    Returns:
        Whether all numbers are finite.
    """
    target, plane, zero = step[1], step[2], np.float32(step[3])
    examples, positions, channels = images.shape
    values = images.reshape(-1)
    pixels = examples * positions
    good = True
    # A line of floats at a time; of the last pixels, one group may be short.
    for first in range(0, channels, 16):
        for pixel in range(pixels):
            start = pixel * channels
            for channel in range(first, min(first + 16, channels), 4):
                at = target + channel // 4 * plane + 4 * pixel
                if start + channel + 4 <= len(values):
                    good &= four_bytes(
                        memory, at, values, start + channel, factor, zero
                    )
                    continue
                for n in range(channels - channel):
                    value = values[np.uint64(start + channel + n)]
                    good &= value - value == 0
                    value = _byte(value * factor + zero)
                    memory[np.uint64(at + n)] = value
    return good


@numba.njit(nogil=True)
def _read(memory, step, y):
    """Copy floats `[channels][positions]` to `(images, positions, channels)`.

    Of a tile, only those images that `y` has.
    """
    floats = memory.view(np.float32)
    examples, positions, channels = y.shape
    pitch, rows = step[5], y.reshape(-1, channels)
    for first in range(0, channels, 16):
        for pixel in range(examples * positions):
            place = step[2] // 4 + first * pitch + pixel
            for channel in range(first, min(first + 16, channels)):
                rows[pixel, channel] = floats[np.uint64(place)]
                place += pitch


@numba.njit(nogil=True)
def _look_up(memory, step, tables):
    """Replace the bytes of each channel by those of a table."""
    _, source, target, channels, number, plane, first = step[:7]
    table = tables[number]
    for channel in range(channels):
        at = first + channel
        start = source + channel // 4 * plane + channel % 4
        end = target + at // 4 * plane + at % 4
        for place in range(0, plane, 4):
            value = memory[np.uint64(start + place)]
            memory[np.uint64(end + place)] = table[value]


@numba.njit(nogil=True)
def _max_pool(memory, step):
    """Take the largest of all columns and rows of expanded planes."""
    source, target, planes, columns, size, wide = step[1:7]
    rows, high, stride, plane, from_plane = step[7:12]
    for _ in range(planes):
        for row in range(high):
            for place in range(4 * wide):
                most = np.uint8(0)
                for y in range(size):
                    line = (y % stride) * rows + y // stride + row
                    for column in range(columns):
                        at = (column * stride * rows + line) * 4 * wide + place
                        most = max(most, memory[np.uint64(source + at)])
                at = target + 4 * wide * row + place
                memory[np.uint64(at)] = most
        source += from_plane
        target += plane


@numba.njit(nogil=True)
def _global_pool(memory, step, factor, shift):
    """Write one byte for each channel: the largest, or the scaled sum."""
    kind, source, target, planes, positions, plane, to_plane = step[:7]
    for _ in range(planes):
        for channel in range(4):
            most, total = np.uint8(0), np.int32(0)
            for position in range(positions):
                value = memory[np.uint64(source + 4 * position + channel)]
                most = max(most, value)
                total += np.int32(value)
            if kind == GLOBAL_MEAN:
                most = _byte(np.float32(total) * factor + shift)
            memory[np.uint64(target + channel)] = most
        source += plane
        target += to_plane


def _compiled(version):
    """Return the function; `version` is part of the key of Numba's cache."""

    @_kept
    def run(memory, steps, numbers, entries, factors, tables, images, y):
        """Run a network on as many images as a value holds.

        Args:
            memory: Bytes of all values, at a multiple of 64.
            steps: Integer array `(steps, 16)`.
            numbers: Float array `(steps, 2)`.
            entries: Tuple of the unsigned offsets of all weights, the weights
                and the first entry of each row.
            factors: Float array `(4, rows)`.
            tables: Array of bytes `(tables, 256)`.
            images: Float array `(images, positions, channels)`.
            y: Float array, likewise, filled.

        Returns:
            Whether all inputs are finite.
        """
        good = version >= 0
        for number in range(len(steps)):
            step = to_fixed_tuple(steps[number], COLUMNS)
            first = numbers[number, 0]
            kind = step[0]
            if kind == QUANTIZE:
                good = _quantize(memory, step, images, first)
            elif kind == EXPAND:
                _expand(memory, step)
            elif kind == PRODUCT:
                _product(memory, step, entries, factors, first)
            elif kind == FLOATS:
                _float_product(memory, step, entries, factors)
                _read(memory, step, y)
            elif kind == LOOK_UP:
                _look_up(memory, step, tables)
            elif kind == MAX_POOL:
                _max_pool(memory, step)
            else:
                _global_pool(memory, step, first, numbers[number, 1])
        return good

    return run


# Numba's cache only checks the file of a function for changes.
run = _compiled(zlib.crc32(pathlib.Path(int8_vectors.__file__).read_bytes()))
