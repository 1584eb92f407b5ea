"""Networks of bytes, compiled by Numba: a table of steps, run in one call.

Activations are bytes `[channels / 4][positions][4]` in one array. A weight of a
sparse product is a block of four input channels, one 32-bit number, which
`vpdpbusd` multiplies with 16 (or 8) positions at once. There is no fast math:
results are equal to NumPy's bit for bit.
"""

import inspect
import zlib

import numba
import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from cb.engine import int8_depthwise
from cb.engine import int8_lanes
from cb.engine import int8_planes
from cb.engine import int8_vectors
from cb.engine.int8_depthwise import own_kernels
from cb.engine.int8_lanes import sixteen_outputs
from cb.engine.int8_planes import expand
from cb.engine.int8_planes import global_pool
from cb.engine.int8_planes import look_up
from cb.engine.int8_planes import max_pool
from cb.engine.int8_planes import quantize
from cb.engine.int8_planes import read
from cb.engine.int8_vectors import LANES
from cb.engine.int8_vectors import four_channels
from cb.kernels import moving
from cb.kernels import planes
from cb.kernels import teams
from cb.kernels import vectors
from cb.kernels.moving import copy
from cb.kernels.teams import PATIENCE
from cb.kernels.teams import began
from cb.kernels.teams import next_ticket
from cb.kernels.vectors import increase
from cb.kernels.vectors import let_others_run
from cb.kernels.vectors import shared

_compiled = numba.njit(nogil=True, error_model="numpy")

# Bytes that may be read and written after the end of a value, and read before.
SLACK = 128
# Kinds of steps, and the columns of their table.
QUANTIZE, EXPAND, PRODUCT, FLOATS, DOTS, FLOAT_DOTS, READ = range(7)
LOOK_UP, MAX_POOL, GLOBAL_MAX, GLOBAL_MEAN, DEPTHWISE = range(7, 12)
# The last two: in how many units a step can be divided, and how many of them a
# thread takes.
COLUMNS = 18
_WIDE = LANES == 16
# Vectors of 16 positions.
_SIXTEEN = 16 // LANES if LANES else 0


def _kept(function):
    """Compile a function, cached on disk where a folder can be written."""
    try:
        return numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:
        return numba.njit(function, nogil=True, error_model="numpy")


@_compiled
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


@_compiled
def _float_product(memory, step, entries, factors, factor, begin, end):
    """Compute a sparse convolution as floats `[channels][positions]`."""
    residual, positions = step[3], step[5]
    for done in range(0, positions, 16):
        for group in range(begin, end):
            target = step[2] + 4 * (4 * group * positions + done)
            here = 4 * (group * positions + done)
            added = residual + here if residual >= 0 else -1
            places = (step[1] + 4 * done, target, added, -1, 4 * positions)
            row = step[7] + 4 * group
            four_channels(
                memory,
                places,
                entries,
                factors,
                row,
                factor,
                1,
                _SIXTEEN,
            )


@_compiled
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


@_compiled
def _depthwise(memory, step, taps, factors, factor, begin, end):
    """Compute a depthwise convolution, four channels at a time."""
    source, target, residual, second = step[1], step[2], step[3], step[4]
    positions, row, plane = step[5], step[7], step[8]
    offsets, count, from_plane, filling = step[9:13]
    lanes = offsets + 4 * count
    weights = lanes + positions // LANES * 4 * count
    for group in range(begin, end):
        for vector in range(positions // LANES):
            here = group * plane + 4 * LANES * vector
            places = (
                source + group * from_plane + 4 * LANES * vector,
                target + here,
                residual + here if residual >= 0 else -1,
                second + here if second >= 0 else -1,
            )
            at = (
                offsets,
                lanes + 4 * count * vector,
                weights + 4 * count * group,
                count,
            )
            own_kernels(
                memory,
                places,
                taps,
                at,
                filling,
                factors,
                row + 4 * group,
                factor,
            )


@_compiled
def _run_step(memory, step, numbers, network, begin, end):
    """Run some units of a step that knows neither inputs nor outputs."""
    _, _, entries, lanes, factors, tables, taps = network
    factor, kind = numbers[0], step[0]
    if kind == EXPAND:
        expand(memory, step, begin, end)
    elif kind == PRODUCT:
        _product(memory, step, entries, factors, factor, begin, end)
    elif kind == FLOATS:
        _float_product(memory, step, entries, factors, factor, begin, end)
    elif kind == DOTS or kind == FLOAT_DOTS:
        _dots(memory, step, lanes, factors, factor, begin, end)
    elif kind == DEPTHWISE:
        _depthwise(memory, step, taps, factors, factor, begin, end)
    elif kind == LOOK_UP:
        look_up(memory, step, tables, begin, end)
    elif kind == MAX_POOL:
        max_pool(memory, step, begin, end)
    else:
        mean = kind == GLOBAL_MEAN
        global_pool(memory, step, mean, factor, numbers[1], begin, end)


@_compiled
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
                if not quantize(memory, step, x, example, count, factor):
                    counters[1] = 1
            elif step[0] == READ:
                read(memory, step, y, example, count)
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


def _functions(version):
    """Return the functions; `version` is part of the keys of Numba's cache.

    They are those of `cb.kernels.network`, and networks tuples of an integer
    array `(steps, 18)`; a float array `(steps, 2)`; the unsigned offsets of
    all weights, the weights and the first entry of each row; the arrays of
    `Lanes`; a float array `(4, rows)`; bytes `(tables, 256)`; and what
    `int8_depthwise.places_of` makes of depthwise convolutions.
    """

    @_kept
    def run(network, memory, x, y, images, counters):
        """Run a network on a batch, as one of threads that share the tiles."""
        octets = memory.view(np.uint8)
        number = increase(counters, 0, 1) if version >= 0 else len(x)
        while number * images < len(x):
            _run_tile(number, network, octets, x, y, images, counters, False)
            number = increase(counters, 0, 1)

    @_kept
    def run_together(
        network, memory, x, y, images, counters, box, given, result, leads
    ):
        """Lead others through a network, or help who leads until nobody does.

        Returns:
            Whether the outputs were written.
        """
        if leads and (version < 0 or not began(x, counters, box, given)):
            return False
        octets = memory.view(np.uint8)
        ticket = 0 if leads else next_ticket(box, -1)
        while ticket >= 0:
            rows = box[2]
            inputs, outputs = x[:rows], y[:rows]
            for number in range((rows + images - 1) // images):
                _run_tile(
                    number,
                    network,
                    octets,
                    inputs,
                    outputs,
                    images,
                    counters,
                    True,
                )
            if leads:
                copy(result.ctypes.data, y.ctypes.data, result.size, 1)
                return True
            increase(box, 1, -1)
            ticket = next_ticket(box, ticket)
        return False

    return run, run_together


# Numba's cache only checks the file of a function for changes.
_version = 0
_modules = int8_depthwise, int8_lanes, int8_planes, int8_vectors
for _module in (*_modules, moving, planes, teams, vectors):
    with open(inspect.getfile(_module), "rb") as _file:
        _version = zlib.crc32(_file.read(), _version)
run, run_together = _functions(_version)
