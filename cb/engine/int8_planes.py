"""Steps on bytes that are no sums of products, for `int8_kernels`."""

import numba
import numpy as np

from cb.engine.int8_vectors import four_bytes
from cb.engine.int8_vectors import four_pixels
from cb.kernels.moving import copy
from cb.kernels.planes import transpose

_compiled = numba.njit(nogil=True, error_model="numpy")


@_compiled
def expand(memory, step, begin, end):
    """Write a copy of some planes for every column of a kernel.

    Copy `c` of a plane of four channels holds at row `y` and column `x` what
    column `c` of the kernel is multiplied with there, at borders the zero
    point. Rows are sorted by their remainder modulo the stride. Every weight
    then reads consecutive positions.
    """
    source, target, _, height, width = step[1:6]
    columns, dilation, top, left = step[6:10]
    stride_y, stride_x, rows, wide, zero = step[10:15]
    words, base = memory.view(np.uint32), memory.ctypes.data
    filling = np.uint32(zero)
    source += begin * step[15]
    target += begin * 4 * wide * rows * stride_y * columns
    for _ in range(begin, end):
        for column in range(columns):
            first = column * dilation - left
            # Columns of the target that are inside of the source.
            low = min(wide, max(0, -(first // stride_x)))
            high = max(low, min(wide, (width - 1 - first) // stride_x + 1))
            whole = stride_y == 1 and stride_x == 1 and wide == width
            if whole:
                size = wide * min(height, rows - top)
                place = base + target + 4 * wide * top
                copy(place, base + source + 4 * first, size, 1)
            for phase in range(stride_y):
                for row in range(rows):
                    y = row * stride_y + phase - top
                    if y < 0 or y >= height:
                        place = np.uint64(target // 4)
                        for x in range(wide):
                            words[place + np.uint64(x)] = filling
                    elif not whole:
                        x = first + low * stride_x
                        start = base + source + 4 * (y * width + x)
                        place = base + target + 4 * low
                        copy(place, start, high - low, stride_x)
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


@_compiled
def _byte(value):
    """Round a float to a byte, halves to even ones."""
    return np.uint8(np.rint(min(max(value, np.float32(0)), np.float32(255))))


@_compiled
def quantize(memory, step, x, example, count, factor):
    """Write some rows of floats as bytes.

    Returns:
        Whether all numbers are finite.
    """
    target, plane, zero = step[1], step[2], np.float32(step[3])
    channels, features = step[4], x.shape[1]
    values = x.reshape(-1)
    pixels = count * features // channels
    good, done = True, 0
    start = example * features
    while channels <= 4 and done + 5 <= pixels:
        at = target + 4 * done
        good &= four_pixels(
            memory, at, values, start + done * channels, channels, factor, zero
        )
        done += 4
    # A line of floats at a time; of the last pixels, one group may be short.
    for first in range(0, channels, 16):
        for pixel in range(done, pixels):
            start = example * features + pixel * channels
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


@_compiled
def read(memory, step, y, example, count):
    """Copy floats `[channels][positions]` to some rows."""
    floats, values = memory.view(np.float32), y.reshape(-1)
    pitch, channels, features = step[2], step[3], y.shape[1]
    start, pixels = example * features, count * features // channels
    place = step[1] // 4
    transpose(floats, place, pitch, values, start, channels, channels, pixels)


@_compiled
def look_up(memory, step, tables, begin, end):
    """Replace the bytes of some channels by those of a table."""
    _, source, target, _, number, plane, first = step[:7]
    table = tables[number]
    for channel in range(begin, end):
        at = first + channel
        start = source + channel // 4 * plane + channel % 4
        to = target + at // 4 * plane + at % 4
        for place in range(0, plane, 4):
            value = memory[np.uint64(start + place)]
            memory[np.uint64(to + place)] = table[value]


@_compiled
def max_pool(memory, step, begin, end):
    """Take the largest of all columns and rows of expanded planes."""
    source, target, _, columns, size, wide = step[1:7]
    rows, high, stride, plane, from_plane = step[7:12]
    source += begin * from_plane
    target += begin * plane
    for _ in range(begin, end):
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


@_compiled
def global_pool(memory, step, mean, factor, shift, begin, end):
    """Write one byte for each channel: the largest, or the scaled sum."""
    _, source, target, _, positions, plane, to_plane = step[:7]
    source += begin * plane
    target += begin * to_plane
    for _ in range(begin, end):
        for channel in range(4):
            most, total = np.uint8(0), np.int32(0)
            for position in range(positions):
                value = memory[np.uint64(source + 4 * position + channel)]
                most = max(most, value)
                total += np.int32(value)
            if mean:
                most = _byte(np.float32(total) * factor + shift)
            memory[np.uint64(target + channel)] = most
        source += plane
        target += to_plane
