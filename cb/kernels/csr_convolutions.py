"""Convolutions by CSR kernels and their gradients, as jobs of threads.

A thread copies a tile of images to planes in its own memory, which stay in its
cache, works on them, and copies the result to images. The kernel's entries
hold distances between positions of planes. Every task has its tiles whatever
the number of threads, so that results do not depend on it.
"""

import numba
import numpy as np

from cb.kernels.csr_jobs import ENTRIES
from cb.kernels.csr_jobs import FIRST
from cb.kernels.csr_jobs import INDICES
from cb.kernels.csr_jobs import ORDER
from cb.kernels.csr_jobs import RECTIFIED
from cb.kernels.csr_jobs import SECOND
from cb.kernels.csr_jobs import SHAPE
from cb.kernels.csr_jobs import SOURCE
from cb.kernels.csr_jobs import STARTS
from cb.kernels.csr_jobs import TARGET
from cb.kernels.csr_jobs import TASKS
from cb.kernels.csr_jobs import VALUES
from cb.kernels.csr_jobs import WEIGHTS
from cb.kernels.csr_jobs import block
from cb.kernels.csr_jobs import dots
from cb.kernels.csr_jobs import floats_at
from cb.kernels.csr_jobs import integers_at
from cb.kernels.csr_jobs import sums
from cb.kernels.csr_planes import GUARD
from cb.kernels.csr_planes import IMAGES
from cb.kernels.csr_planes import LEFT
from cb.kernels.csr_planes import OUTPUTS
from cb.kernels.csr_planes import PITCH
from cb.kernels.csr_planes import PLANE
from cb.kernels.csr_planes import PLANES
from cb.kernels.csr_planes import STRIDE_X
from cb.kernels.csr_planes import STRIDE_Y
from cb.kernels.csr_planes import TILE
from cb.kernels.csr_planes import TILES
from cb.kernels.csr_planes import TOP
from cb.kernels.csr_planes import ends
from cb.kernels.csr_planes import move_inputs
from cb.kernels.csr_planes import move_outputs
from cb.kernels.csr_planes import vectors
from cb.kernels.csr_pool import give_back
from cb.kernels.csr_pool import lend
from cb.kernels.csr_vectors import pointer
from cb.kernels.vectors import FASTMATH
from cb.kernels.vectors import LANES

# Of the transpose of a kernel.
DISTANCES_BACK, WEIGHTS_BACK, STARTS_BACK = ORDER, WEIGHTS, VALUES
_ZERO = np.float32(0)
_compiled = numba.njit(nogil=True, fastmath=FASTMATH)


@_compiled
def shape_at(address):
    """Return the integers of a shape."""
    return numba.carray(pointer(address), (PLANES + 1,), np.int64)


@_compiled
def _tiles(job, shape, number):
    """Return the first tile of a task, and the end."""
    tiles, tasks = shape[TILES], job[TASKS]
    return tiles * number // tasks, tiles * (number + 1) // tasks


@_compiled
def _sums(where, matrix, rows, first, begin, end):
    """Compute some positions of planes.

    Args:
        where: Tuple of the address of the source's first position, that of the
            target's, and the floats of a plane.
        matrix: Tuple of addresses: distances, weights, starts of rows.
        rows: Integer, planes of the target.
        first: Tuple of the address of what sums begin with, or 0, and whether
            negative sums become zero.
        begin: Integer, the first position.
        end: Integer, one behind the last.
    """
    source, target, plane = where
    distances, weights, starts = matrix
    starts = integers_at(starts, rows + 1)
    firsts = floats_at(first[0], rows)
    begin = begin // LANES * LANES
    columns = vectors(end - begin) * LANES
    column = 0
    while column < columns:
        size, _ = block(columns - column, columns)
        place = 4 * (begin + column)
        for row in range(rows):
            given = (
                source + place,
                4,
                distances,
                weights,
                np.int64(starts[row]),
                np.int64(starts[row + 1]),
                firsts[row] if first[0] else _ZERO,
                target + 4 * row * plane + place,
                first[1],
            )
            sums(size, given)
        column += size * LANES


@_compiled
def _dots(where, matrix, rows, columns, found):
    """Add to the gradients of entries, from some positions.

    Args:
        where: Tuple of addresses of the first position of inputs and of
            errors, and the floats of a plane.
        matrix: Tuple of addresses: distances and starts of rows.
        rows: Integer, planes of errors.
        columns: Integer, positions, as many as vectors hold.
        found: Integer, the address of the gradients.
    """
    source, errors, plane = where
    starts = integers_at(matrix[1], rows + 1)
    column = 0
    while column < columns:
        size, _ = block(columns - column, columns)
        for row in range(rows):
            given = (
                source + 4 * column,
                4,
                matrix[0],
                np.int64(starts[row]),
                np.int64(starts[row + 1]),
                errors + 4 * (row * plane + column),
                found,
                0,
            )
            dots(size, given)
        column += size * LANES


@_compiled
def convolution(job, number):
    """Compute the outputs of some tiles."""
    shape = shape_at(job[SHAPE])
    plane, guard = shape[PLANE], 4 * shape[GUARD]
    used = shape[PLANES] * plane
    scratch, memory = lend(4 * (used + shape[OUTPUTS] * plane))
    inputs, outputs = memory, memory + 4 * used
    floats_at(inputs, used)[:] = _ZERO
    where = inputs + guard, outputs + guard, plane
    matrix = job[INDICES], job[WEIGHTS], job[STARTS]
    first = job[FIRST], job[RECTIFIED]
    begin, finish = _tiles(job, shape, number)
    for tile in range(begin, finish):
        move_inputs(shape, job[SOURCE], tile, inputs, False)
        end = ends(shape, tile)[0]
        _sums(where, matrix, shape[OUTPUTS], first, 0, end)
        move_outputs(shape, job[TARGET], tile, outputs, True)
    give_back(scratch)


@_compiled
def convolution_gradients(job, number):
    """Compute the gradients of the inputs of some tiles, and of entries.

    `SOURCE` are the inputs, `FIRST` the errors, `TARGET` the gradients of
    inputs, `SECOND` those of entries and summands, of each task.
    """
    shape = shape_at(job[SHAPE])
    plane, guard = shape[PLANE], 4 * shape[GUARD]
    used, rows = shape[PLANES] * plane, shape[OUTPUTS]
    size = 2 * used + rows * plane
    scratch, inputs = lend(4 * size)
    errors = inputs + 4 * used
    gradients = errors + 4 * rows * plane
    places = job[ENTRIES] + rows
    found = job[SECOND] + 4 * number * places
    floats_at(found, places)[:] = _ZERO
    summands = floats_at(found, places)[job[ENTRIES] :]
    matrix = job[INDICES], job[STARTS]
    transposed = job[DISTANCES_BACK], job[WEIGHTS_BACK], job[STARTS_BACK]
    start = shape[TOP] // shape[STRIDE_Y] * shape[PITCH]
    start += shape[LEFT] // shape[STRIDE_X]
    begin, finish = _tiles(job, shape, number)
    for tile in range(begin, finish):
        # The last tile may have fewer images.
        if tile == begin or (tile + 1) * shape[TILE] > shape[IMAGES]:
            floats_at(inputs, size)[:] = _ZERO
        move_inputs(shape, job[SOURCE], tile, inputs, False)
        move_outputs(shape, job[FIRST], tile, errors, False)
        end, last = ends(shape, tile)
        columns = vectors(end) * LANES
        where = inputs + guard, errors + guard, plane
        _dots(where, matrix, rows, columns, found)
        for row in range(rows):
            of = floats_at(errors + guard + 4 * row * plane, columns)
            total = _ZERO
            for i in range(columns):
                total += of[i]
            summands[row] += total
        where = errors + guard, gradients + guard, plane
        _sums(where, transposed, shape[PLANES], (0, 0), start, last)
        move_inputs(shape, job[TARGET], tile, gradients, True)
    give_back(scratch)
