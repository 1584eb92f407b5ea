"""A whole network in one call, compiled by Numba.

A table of operations on one array of floats is run in order. Values lie there
as `cb.engine.layout` says: channels outermost, then positions, then the images
of a tile.

Numba's cache only checks the file of a function for changes, so a checksum of
the others is part of its key.
"""

import inspect
import zlib

import numba
import numpy as np

from cb.kernels import moving
from cb.kernels import planes
from cb.kernels import teams
from cb.kernels import vectors
from cb.kernels.moving import copy
from cb.kernels.planes import AVERAGE_POOL
from cb.kernels.planes import DOTS
from cb.kernels.planes import FLATTEN
from cb.kernels.planes import GLOBAL_AVERAGE
from cb.kernels.planes import GLOBAL_MAX
from cb.kernels.planes import LOAD
from cb.kernels.planes import MAX_POOL
from cb.kernels.planes import PRODUCT
from cb.kernels.planes import SPLIT
from cb.kernels.planes import STORE
from cb.kernels.planes import clear
from cb.kernels.planes import clear_borders
from cb.kernels.planes import clear_rows
from cb.kernels.planes import flatten
from cb.kernels.planes import load
from cb.kernels.planes import pool
from cb.kernels.planes import pool_all
from cb.kernels.planes import softmax
from cb.kernels.planes import split
from cb.kernels.planes import store
from cb.kernels.teams import PATIENCE
from cb.kernels.teams import began
from cb.kernels.teams import next_ticket
from cb.kernels.vectors import IN_REGISTERS
from cb.kernels.vectors import LANES
from cb.kernels.vectors import OPTIONS
from cb.kernels.vectors import block_1
from cb.kernels.vectors import block_2
from cb.kernels.vectors import block_3
from cb.kernels.vectors import block_4
from cb.kernels.vectors import block_5
from cb.kernels.vectors import block_6
from cb.kernels.vectors import block_7
from cb.kernels.vectors import block_8
from cb.kernels.vectors import increase
from cb.kernels.vectors import let_others_run
from cb.kernels.vectors import shared
from cb.kernels.vectors import sum_outputs

# Positions in this tuple are the codes of activations.
ACTIVATIONS = (
    "linear",
    "relu",
    "relu6",
    "general_relu",
    "sigmoid",
    "tanh",
    "silu",
    "elu",
    "hard_sigmoid",
    "hard_silu",
)
_ZERO, _ONE = np.float32(0), np.float32(1)
_SIXTH, _HALF = np.float32(1 / 6), np.float32(0.5)
_compiled = numba.njit(**OPTIONS)


@_compiled
def _activate(memory, first, count, op):
    """Apply the activation of an operation to some floats."""
    code = op.code
    slope, threshold = np.float32(op.slope), np.float32(op.threshold)
    limit = np.float32(op.limit)
    for i in range(first, first + count):
        v = memory[i]
        if code == 3:
            v = slope * (v - threshold) if v < threshold else v
            v = limit if v > limit else v
        elif code == 4:
            v = _ONE / (_ONE + np.exp(-v))
        elif code == 5:
            v = np.tanh(v)
        elif code == 6:
            v = v / (_ONE + np.exp(-v))
        elif code == 7:
            v = np.expm1(v) if v < _ZERO else v
        else:
            part = v * _SIXTH + _HALF
            part = _ZERO if part < _ZERO else (_ONE if part > _ONE else part)
            v = part if code == 8 else v * part
        memory[i] = v


@_compiled
def _product(op, first, last, network, memory):
    """Compute some channels of a product."""
    starts, offsets, weights, rows, blocks = network[1:6]
    base = memory.ctypes.data
    offset_place, weight_place = offsets.ctypes.data, weights.ctypes.data
    limit = np.float32(op.limit)
    written = op.second if op.second >= 0 else op.target
    for number in range(op.first_block, op.end_block):
        position, size = blocks[number, 0], blocks[number, 1]
        source = base + 4 * (op.source + position)
        for channel in range(first, last):
            row = op.first_row + channel
            place = channel * op.plane + position
            branch = target = second = 0
            if op.branch >= 0:
                branch = base + 4 * (op.branch + place)
            if op.target >= 0:
                target = base + 4 * (op.target + place)
            if op.second >= 0:
                second = base + 4 * (op.second + place)
            given = (
                source,
                offset_place,
                weight_place,
                starts[row],
                starts[row + 1],
                rows[0, row],
                branch,
                target,
                second,
                rows[1, row],
                rows[2, row],
                op.code,
                limit,
                blocks[number, 2],
                blocks[number, 3],
            )
            if size == 8:
                block_8(given)
            elif size == 7:
                block_7(given)
            elif size == 6:
                block_6(given)
            elif size == 5:
                block_5(given)
            elif size == 4:
                block_4(given)
            elif size == 3:
                block_3(given)
            elif size == 2:
                block_2(given)
            else:
                block_1(given)
            if op.code > IN_REGISTERS:
                _activate(memory, written + place, size * LANES, op)
    # Vectors that reach over the ends of rows leave f(0) in borders.
    if op.code > IN_REGISTERS and op.images % LANES:
        for channel in range(first, last):
            place = written + channel * op.plane
            clear(memory, place, op.height, op.width, op)
            clear_rows(memory, place, op)


@_compiled
def _dots(op, first, last, network, memory):
    """Compute some outputs of a product at one position of one image."""
    rows, row = network[4], op.first_row
    steps, bases, lanes, factors = network[6:]
    base, source = memory.ctypes.data, op.source
    base_place, lane_place = bases.ctypes.data, lanes.ctypes.data
    factor_place = factors.ctypes.data
    branch, target, code = op.branch, op.target, op.code
    written = op.second if op.second >= 0 else target
    limit = np.float32(op.limit)
    group = op.first_block + first // LANES
    for begin in range(first, last, LANES):
        given = (
            base + 4 * source,
            base_place,
            lane_place,
            factor_place,
            steps[group],
            steps[group + 1],
            base + 4 * (written + begin),
        )
        sum_outputs(given)
        group += 1
    # Slices, whose places cannot be negative, so that these are vectors too.
    sums = memory[written + first : written + last]
    parts = rows[:, row + first : row + last]
    for n in range(len(sums)):
        sums[n] += parts[0, n]
    if branch >= 0:
        added = memory[branch + first : branch + last]
        for n in range(len(sums)):
            sums[n] += added[n]
    if op.second >= 0:
        if target >= 0:
            place = base + 4 * (target + first)
            copy(place, sums.ctypes.data, last - first, 1)
        for n in range(len(sums)):
            sums[n] = sums[n] * parts[1, n] + parts[2, n]
    if code == 1 or code == 2:
        for n in range(len(sums)):
            v = sums[n]
            v = _ZERO if v < _ZERO else v
            sums[n] = limit if v > limit else v
    elif code:
        _activate(memory, written + first, last - first, op)


@_compiled
def _run_operation(op, first, last, network, memory):
    """Run an operation on some channels, or on all if it knows no parts."""
    kind = op.kind
    if kind == PRODUCT:
        _product(op, first, last, network, memory)
    elif kind == DOTS:
        _dots(op, first, last, network, memory)
    elif kind == SPLIT:
        split(op, first, last, network[5], memory)
    elif kind == MAX_POOL or kind == AVERAGE_POOL:
        pool(op, first, last, memory)
    elif kind == GLOBAL_MAX or kind == GLOBAL_AVERAGE:
        pool_all(op, first, last, memory)
    elif kind == FLATTEN:
        flatten(op, first, last, memory)
    else:
        softmax(op, memory)


@_compiled
def _run_tile(number, network, memory, x, y, images, counters, together):
    """Run all operations on one tile, as one of the threads that share it."""
    operations = network[0]
    first = number * images
    count = min(images, len(x) - first)
    for n in range(len(operations)):
        op = operations[n]
        place = 2 + 2 * (number * len(operations) + n)
        size = op.chunk if together else op.channels
        parts = (op.channels + size - 1) // size
        part = increase(counters, place, 1) if together else 0
        done = 0
        while part < parts:
            begin = part * size
            end = min(begin + size, op.channels)
            if op.clear and op.kind != SPLIT:
                clear_borders(op, begin, end, memory)
            if op.kind == LOAD:
                if not load(op, x, first, count, memory):
                    counters[1] = 1
            elif op.kind == STORE:
                store(op, y, first, count, memory)
            else:
                _run_operation(op, begin, end, network, memory)
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


def _kept(function):
    """Compile a function, cached on disk where a folder can be written."""
    try:
        return numba.njit(function, cache=True, **OPTIONS)
    except RuntimeError:
        return numba.njit(function, **OPTIONS)


def _functions(stamp):
    """Return the functions that run networks.

    Their arguments are: a network, the arrays of `cb.engine.plan.Plan`; float
    memory that begins at a cache line, zero at first and used by no other
    network; float arrays `(examples, features)` of all inputs and of all
    outputs of each example; how many examples are in a tile; and integers that
    threads share, two zeros for `run` and `2 + 2 * tiles * operations` for the
    others. The second becomes 1 if an input is not finite.

    Args:
        stamp: Integer, which is so part of their keys in the cache.

    Returns:
        Tuple of `run` and `run_together`.
    """

    @_kept
    def run(network, memory, x, y, images, counters):
        """Run a network on a batch, as one of threads that share the tiles."""
        number = increase(counters, 0, 1) if stamp >= 0 else len(x)
        while number * images < len(x):
            _run_tile(number, network, memory, x, y, images, counters, False)
            number = increase(counters, 0, 1)

    @_kept
    def run_together(
        network, memory, x, y, images, counters, box, given, result, leads
    ):
        """Lead others through a network, or help who leads until nobody does.

        Who leads has the inputs `given`, whose outputs are written to
        `result`; `x` and `y` have at least as many rows, and belong to all
        threads, as `box` does, see `cb.kernels.teams`. Leading and helping are
        one function, as each would be compiled with all that it calls.

        Returns:
            Whether the outputs were written: that nobody was still at what
            was before.
        """
        if leads and (stamp < 0 or not began(x, counters, box, given)):
            return False
        ticket = 0 if leads else next_ticket(box, -1)
        while ticket >= 0:
            rows = box[2]
            inputs, outputs = x[:rows], y[:rows]
            for number in range((rows + images - 1) // images):
                _run_tile(
                    number,
                    network,
                    memory,
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


_stamp = 0
for _module in (moving, planes, teams, vectors):
    with open(inspect.getfile(_module), "rb") as _file:
        _stamp = zlib.crc32(_file.read(), _stamp)
run, run_together = _functions(_stamp)
