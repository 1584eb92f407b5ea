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

from cb.engine import int8_lanes
from cb.engine import int8_vectors
from cb.engine.int8_lanes import sixteen_outputs
from cb.engine.int8_vectors import LANES
from cb.engine.int8_vectors import copy
from cb.engine.int8_vectors import four_bytes
from cb.engine.int8_vectors import four_channels
from cb.kernels import vectors
from cb.kernels.network import PATIENCE
from cb.kernels.vectors import increase
from cb.kernels.vectors import let_others_run
from cb.kernels.vectors import shared

# Bytes that may be read and written after the end of a value, and read before.
SLACK = 128
# Kinds of steps, and the columns of their table.
QUANTIZE, EXPAND, PRODUCT, FLOATS, DOTS, FLOAT_DOTS, READ = range(7)
LOOK_UP, MAX_POOL, GLOBAL_MAX, GLOBAL_MEAN = range(7, 11)
# The last two: in how many units a step can be divided, and how many of them a
# thread takes.
COLUMNS = 18
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
def _expand(memory, step, begin, end):
    """Write a copy of some planes for every column of a kernel.

    Copy `c` of a plane of four channels holds at row `y` and column `x` what
    column `c` of the kernel is multiplied with there, at borders the zero
    point. Rows are sorted by their remainder modulo the stride. Every weight
    then reads consecutive positions.
    """
    source, target, _, height, width = step[1:6]
    columns, dilation, top, left = step[6:10]
    stride_y, stride_x, rows, wide, zero = step[10:15]
    words = memory.view(np.uint32)
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
def _product(memory, step, entries, factors, factor, begin, end):
    """Compute a sparse convolution, four output channels at a time."""
    source, target, residual, second = step[1], step[2], step[3], step[4]
    positions, row, plane = step[5], step[7], step[8]
    done = 0
    while done < positions:
        left = positions - done
        for group in range(begin, end):
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
def _float_product(memory, step, entries, factors, begin, end):
    """Compute a sparse convolution as floats `[channels][positions]`."""
    positions = step[5]
    for done in range(0, positions, 16):
        for group in range(begin, end):
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
def _dots(memory, step, lanes, factors, factor, begin, end):
    """Compute a dense layer of one image, 16 outputs at a time."""
    source, target, residual, second = step[1], step[2], step[3], step[4]
    outputs, row, first = 4 * step[6], step[7], step[9]
    for group in range(begin, end):
        done = 16 * group
        floats = step[0] == FLOAT_DOTS
        places = (
            source,
            target + (4 * done if floats else done),
            residual + done if residual >= 0 else -1,
            second + done if second >= 0 else -1,
            first + group,
            outputs - done,
        )
        at = row + done
        if floats:
            sixteen_outputs(memory, places, lanes, factors, at, factor, 1)
        else:
            sixteen_outputs(memory, places, lanes, factors, at, factor, 0)


@numba.njit(nogil=True)
def _byte(value):
    """Round a float to a byte, halves to even ones."""
    return np.uint8(np.rint(min(max(value, np.float32(0)), np.float32(255))))


@numba.njit(nogil=True)
def _quantize(memory, step, x, example, count, factor):
    """Write some rows of floats as bytes.

    Returns:
        Whether all numbers are finite.
    """
    target, plane, zero = step[1], step[2], np.float32(step[3])
    channels, features = step[4], x.shape[1]
    values = x.reshape(-1)
    pixels = count * features // channels
    good = True
    # A line of floats at a time; of the last pixels, one group may be short.
    for first in range(0, channels, 16):
        for pixel in range(pixels):
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


@numba.njit(nogil=True)
def _read(memory, step, y, example, count):
    """Copy floats `[channels][positions]` to some rows."""
    floats, values = memory.view(np.float32), y.reshape(-1)
    pitch, channels = step[2], step[3]
    for first in range(0, channels, 16):
        for pixel in range(count * y.shape[1] // channels):
            place = step[1] // 4 + first * pitch + pixel
            at = example * y.shape[1] + pixel * channels
            for channel in range(first, min(first + 16, channels)):
                values[np.uint64(at + channel)] = floats[np.uint64(place)]
                place += pitch


@numba.njit(nogil=True)
def _look_up(memory, step, tables, begin, end):
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


@numba.njit(nogil=True)
def _max_pool(memory, step, begin, end):
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


@numba.njit(nogil=True)
def _global_pool(memory, step, factor, shift, begin, end):
    """Write one byte for each channel: the largest, or the scaled sum."""
    kind, source, target, _, positions, plane, to_plane = step[:7]
    source += begin * plane
    target += begin * to_plane
    for _ in range(begin, end):
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


@numba.njit(nogil=True)
def _run_step(memory, step, numbers, network, begin, end):
    """Run some units of a step that knows neither inputs nor outputs."""
    _, _, entries, lanes, factors, tables = network
    factor, kind = numbers[0], step[0]
    if kind == EXPAND:
        _expand(memory, step, begin, end)
    elif kind == PRODUCT:
        _product(memory, step, entries, factors, factor, begin, end)
    elif kind == FLOATS:
        _float_product(memory, step, entries, factors, begin, end)
    elif kind == DOTS or kind == FLOAT_DOTS:
        _dots(memory, step, lanes, factors, factor, begin, end)
    elif kind == LOOK_UP:
        _look_up(memory, step, tables, begin, end)
    elif kind == MAX_POOL:
        _max_pool(memory, step, begin, end)
    else:
        _global_pool(memory, step, factor, numbers[1], begin, end)


@numba.njit(nogil=True)
def _run_tile(number, network, memory, x, y, images, counters, together):
    """Run all steps on one tile, as one of the threads that share it."""
    steps, numbers = network[:2]
    example = number * images
    count = min(images, len(x) - example)
    for n in range(len(steps)):
        step = to_fixed_tuple(steps[n], COLUMNS)
        units = step[COLUMNS - 2]
        size = step[COLUMNS - 1] if together else units
        parts = (units + size - 1) // size
        place = 2 + 2 * (number * len(steps) + n)
        part = increase(counters, place, 1) if together else 0
        done = 0
        while part < parts:
            begin = part * size
            end = min(begin + size, units)
            if step[0] == QUANTIZE:
                factor = numbers[n, 0]
                if not _quantize(memory, step, x, example, count, factor):
                    counters[1] = 1
            elif step[0] == READ:
                _read(memory, step, y, example, count)
            else:
                _run_step(memory, step, numbers[n], network, begin, end)
            done += 1
            part = increase(counters, place, 1) if together else part + 1
        if together:
            if done:
                increase(counters, place + 1, done)
            looked = 0
            while shared(counters, place + 1) < parts:
                looked += 1
                if looked > PATIENCE:
                    let_others_run()


def _compiled(version):
    """Return the function; `version` is part of the key of Numba's cache."""

    @_kept
    def run(network, memory, x, y, images, counters, together):
        """Run a network on a batch, as `cb.kernels.network.run` does.

        Args:
            network: Tuple of an integer array `(steps, 18)`; a float array
                `(steps, 2)`; the unsigned offsets of all weights, the weights
                and the first entry of each row; the arrays of `Lanes`; a
                float array `(4, rows)`; and bytes `(tables, 256)`.
            memory: Float array at a multiple of 64 bytes.
            x: As there, and so on.
            y: See `x`.
            images: See `x`.
            counters: See `x`.
            together: See `x`.
        """
        if version < 0:
            return
        octets = memory.view(np.uint8)
        tiles = (len(x) + images - 1) // images
        number = 0 if together else increase(counters, 0, 1)
        while number < tiles:
            _run_tile(number, network, octets, x, y, images, counters, together)
            number = number + 1 if together else increase(counters, 0, 1)

    return run


# Numba's cache only checks the file of a function for changes.
_version = 0
for _module in (int8_lanes, int8_vectors, vectors):
    _version = zlib.crc32(pathlib.Path(_module.__file__).read_bytes(), _version)
run = _compiled(_version)
