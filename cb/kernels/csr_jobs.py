"""Products of CSR matrices and their gradients, as jobs that threads share.

Every sum is made by one thread in one order: results do not depend on the
number of threads.
"""

import numba
import numpy as np

from cb.kernels.csr_vectors import dots_1
from cb.kernels.csr_vectors import dots_2
from cb.kernels.csr_vectors import dots_4
from cb.kernels.csr_vectors import dots_8
from cb.kernels.csr_vectors import pointer
from cb.kernels.csr_vectors import sums_1
from cb.kernels.csr_vectors import sums_2
from cb.kernels.csr_vectors import sums_4
from cb.kernels.csr_vectors import sums_8
from cb.kernels.vectors import FASTMATH
from cb.kernels.vectors import LANES
from cb.kernels.vectors import WIDEST

# The integers of a job.
(
    NEXT,
    DONE,
    USERS,
    STATE,
    TASKS,
    KIND,
    COLUMNS,
    ROWS,
    SOURCE,
    INDICES,
    WEIGHTS,
    STARTS,
    ORDER,
    VALUES,
    FIRST,
    TARGET,
    RECTIFIED,
    SHAPE,
    SECOND,
    ENTRIES,
    LENGTH,
) = range(21)
PRODUCT, GRADIENTS, CONVOLUTION, CONVOLUTION_GRADIENTS = range(4)
_ZERO = np.float32(0)
_compiled = numba.njit(nogil=True, fastmath=FASTMATH)


@_compiled
def integers_at(address, length):
    """Return the int32 array at an address."""
    return numba.carray(pointer(address), (length,), np.int32)


@_compiled
def floats_at(address, length):
    """Return the float32 array at an address."""
    return numba.carray(pointer(address), (length,), np.float32)


@_compiled
def job_at(address):
    """Return a job as an array."""
    return numba.carray(pointer(address), (LENGTH,), np.int64)


@_compiled
def block(left, columns):
    """Return the vectors of the next block, and where it begins.

    Args:
        left: Integer, columns that are left.
        columns: Integer, all columns, at least as many as lanes. The last
            block overlaps the one before.
    """
    vectors = WIDEST
    while vectors > 1 and vectors * LANES > left:
        vectors //= 2
    return vectors, min(columns - left, columns - LANES)


@_compiled
def sums(vectors, given):
    """Compute 1, 2, 4 or 8 vectors of a row, of what `sums_1` takes."""
    if vectors == 8:
        sums_8(given)
    elif vectors == 4:
        sums_4(given)
    elif vectors == 2:
        sums_2(given)
    else:
        sums_1(given)


@_compiled
def dots(vectors, given):
    """Add the gradients of 1, 2, 4 or 8 vectors, of what `dots_1` takes."""
    if vectors == 8:
        dots_8(given)
    elif vectors == 4:
        dots_4(given)
    elif vectors == 2:
        dots_2(given)
    else:
        dots_1(given)


@_compiled
def _small(source, columns, indices, weights, start, end, first, target):
    """Compute a row of a product with fewer columns than a vector has."""
    index, weight = integers_at(indices, end), floats_at(weights, end)
    row_sums = floats_at(target, columns)
    row_sums[:] = first
    for k in range(start, end):
        row = floats_at(source + 4 * columns * np.int64(index[k]), columns)
        for column in range(columns):
            row_sums[column] += weight[k] * row[column]


@_compiled
def product(job, begin, finish):
    """Compute some rows of a product."""
    columns, pitch = job[COLUMNS], 4 * job[COLUMNS]
    starts = integers_at(job[STARTS], job[ROWS] + 1)
    firsts = floats_at(job[FIRST], job[ROWS])
    kind = job[RECTIFIED]
    if job[ORDER]:
        end = starts[finish]
        order = integers_at(job[ORDER], end)
        values = floats_at(job[VALUES], end)
        weights = floats_at(job[WEIGHTS], end)
        for k in range(starts[begin], end):
            weights[k] = values[order[k]]
    column = 0
    while column < columns:
        vectors, place = block(columns - column, columns)
        for row in range(begin, finish):
            first = firsts[row] if job[FIRST] else _ZERO
            start, end = np.int64(starts[row]), np.int64(starts[row + 1])
            target = job[TARGET] + pitch * row
            if columns < LANES:
                where = job[SOURCE], columns, job[INDICES], job[WEIGHTS]
                _small(*where, start, end, first, target)
                found = floats_at(target, columns)
                for i in range(columns if kind else 0):
                    found[i] = _ZERO if found[i] < _ZERO else found[i]
                continue
            given = (
                job[SOURCE] + 4 * place,
                pitch,
                job[INDICES],
                job[WEIGHTS],
                start,
                end,
                first,
                target + 4 * place,
                kind,
            )
            sums(vectors, given)
        column += vectors * LANES


@_compiled
def gradients(job, begin, finish):
    """Compute the gradients of the entries and summands of some rows.

    `_SOURCE` are the inputs, `_WEIGHTS` the errors, `_FIRST` and `_TARGET` the
    gradients.
    """
    columns, pitch = job[COLUMNS], 4 * job[COLUMNS]
    starts = integers_at(job[STARTS], job[ROWS] + 1)
    found = floats_at(job[TARGET], starts[finish])
    found[starts[begin] :] = _ZERO
    firsts = floats_at(job[FIRST], job[ROWS])
    for row in range(begin, finish):
        total = _ZERO
        errors = floats_at(job[WEIGHTS] + pitch * row, columns)
        for i in range(columns):
            total += errors[i]
        firsts[row] = total
    if columns < LANES:
        _small_gradients(job, begin, finish, starts, found)
        return
    column = 0
    while column < columns:
        vectors, place = block(columns - column, columns)
        for row in range(begin, finish):
            given = (
                job[SOURCE] + 4 * place,
                pitch,
                job[INDICES],
                np.int64(starts[row]),
                np.int64(starts[row + 1]),
                job[WEIGHTS] + pitch * row + 4 * place,
                job[TARGET],
                column - place,
            )
            dots(vectors, given)
        column += vectors * LANES


@_compiled
def _small_gradients(job, begin, finish, starts, found):
    """Compute gradients of entries with fewer columns than a vector has."""
    columns, pitch = job[COLUMNS], 4 * job[COLUMNS]
    indices = integers_at(job[INDICES], starts[finish])
    for row in range(begin, finish):
        errors = floats_at(job[WEIGHTS] + pitch * row, columns)
        for k in range(starts[row], starts[row + 1]):
            inputs = floats_at(job[SOURCE] + pitch * indices[k], columns)
            total = _ZERO
            for i in range(columns):
                total += errors[i] * inputs[i]
            found[k] = total


@_compiled
def edge(job, number):
    """Return the first row of a task; tasks have equally many entries."""
    rows = job[ROWS]
    if number == job[TASKS]:
        return rows
    starts = integers_at(job[STARTS], rows + 1)
    wanted = starts[rows] * number // job[TASKS]
    low, high = 0, rows
    while low < high:
        middle = (low + high) // 2
        if starts[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low
