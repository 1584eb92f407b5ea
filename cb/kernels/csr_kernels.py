"""Compiled code of TensorFlow operations on CSR matrices."""

import numba
import numpy as np
from numba.core import types

from cb.kernels import contexts
from cb.kernels import csr_jobs
from cb.kernels import csr_pool
from cb.kernels import csr_vectors
from cb.kernels import vectors
from cb.kernels.contexts import begin
from cb.kernels.contexts import data
from cb.kernels.contexts import dimension
from cb.kernels.contexts import end
from cb.kernels.contexts import functions
from cb.kernels.contexts import output
from cb.kernels.csr_jobs import FIRST
from cb.kernels.csr_jobs import GRADIENTS
from cb.kernels.csr_jobs import INDICES
from cb.kernels.csr_jobs import ORDER
from cb.kernels.csr_jobs import PRODUCT
from cb.kernels.csr_jobs import RECTIFIED
from cb.kernels.csr_jobs import SOURCE
from cb.kernels.csr_jobs import STARTS
from cb.kernels.csr_jobs import TARGET
from cb.kernels.csr_jobs import VALUES
from cb.kernels.csr_jobs import WEIGHTS
from cb.kernels.csr_jobs import integers_at
from cb.kernels.csr_pool import external
from cb.kernels.csr_pool import run
from cb.kernels.csr_pool import take
from cb.kernels.csr_vectors import exchange
from cb.kernels.csr_vectors import pointer
from cb.kernels.vectors import FASTMATH

# The integers that a kernel keeps from call to call.
_LOCK, _MEMORY, _ENTRIES, _OUTPUTS, _INPUTS, _KEPT = range(6)
_address = types.intp
_compiled = numba.njit(nogil=True, fastmath=FASTMATH)

_calloc = external("calloc", _address, _address, _address)
_free = external("free", types.void, _address)
_memcmp = external("memcmp", types.int32, _address, _address, _address)
_yield = external("sched_yield", types.int32)


@_compiled
def _by_input(kernel, indices, starts, sizes):
    """Return where a matrix is sorted by input, as it was last or anew.

    Args:
        kernel: Integer array, what the kernel keeps.
        indices: Integer, the address of the indices.
        starts: Integer, that of the starts.
        sizes: Tuple of the entries, outputs and inputs.

    Returns:
        Tuple of addresses: the output of every entry, its number in the
        matrix, space for its weight, and where inputs start.
    """
    entries, outputs, inputs = sizes
    same = (kernel[_ENTRIES], kernel[_OUTPUTS], kernel[_INPUTS]) == sizes
    if not (same and kernel[_MEMORY]):
        _free(kernel[_MEMORY])
        length = 4 * entries + outputs + inputs + 3
        kernel[_MEMORY] = _calloc(length, 4)
        kernel[_ENTRIES], kernel[_OUTPUTS], kernel[_INPUTS] = sizes
        same = False
    copy = kernel[_MEMORY]
    number = copy + 4 * entries
    weight = number + 4 * entries
    output = weight + 4 * entries
    copied_starts = output + 4 * entries
    ends = copied_starts + 4 * (outputs + 1)
    if (
        same
        and _memcmp(copy, indices, 4 * entries) == 0
        and _memcmp(copied_starts, starts, 4 * (outputs + 1)) == 0
    ):
        return output, number, weight, ends
    index = integers_at(indices, entries)
    start = integers_at(starts, outputs + 1)
    integers_at(copy, entries)[:] = index
    integers_at(copied_starts, outputs + 1)[:] = start
    # Counts two places further on become starts one place further on, and
    # these, moved along while entries are put down, ends.
    place = integers_at(ends, inputs + 2)
    place[:] = 0
    for k in range(entries):
        place[index[k] + 2] += 1
    for i in range(2, inputs + 2):
        place[i] += place[i - 1]
    output_of = integers_at(output, entries)
    number_of = integers_at(number, entries)
    for row in range(outputs):
        for k in range(start[row], start[row + 1]):
            found = place[index[k] + 1]
            output_of[found], number_of[found] = row, k
            place[index[k] + 1] = found + 1
    return output, number, weight, ends


@_compiled
def _product(context):
    """Multiply: examples, values, indices, starts, summands, settings.

    Settings are the number of threads and whether negative sums become zero.
    """
    given = np.zeros(6, np.int64)
    status = begin(context, given)
    rows = dimension(given[3], np.int32(0)) - 1
    columns = dimension(given[0], np.int32(1))
    target = output(context, 0, np.array([rows, columns]), status)
    if target and columns:
        settings = integers_at(data(given[5]), 2)
        job, address = take(PRODUCT, rows, columns)
        job[SOURCE], job[WEIGHTS] = data(given[0]), data(given[1])
        job[INDICES], job[STARTS] = data(given[2]), data(given[3])
        job[FIRST], job[TARGET] = data(given[4]), target
        job[RECTIFIED] = settings[1]
        run(address, settings[0])
    return end(given, status)


@_compiled
def _input_gradients(kernel, context):
    """Multiply transposed: errors, values, indices, starts, settings.

    Settings are the number of threads and of inputs.
    """
    given = np.zeros(5, np.int64)
    status = begin(context, given)
    settings = integers_at(data(given[4]), 2)
    outputs = dimension(given[3], np.int32(0)) - 1
    rows, columns = np.int64(settings[1]), dimension(given[0], np.int32(1))
    target = output(context, 0, np.array([rows, columns]), status)
    if target and columns:
        while exchange(kernel + 8 * _LOCK, 1):
            _yield()
        sizes = dimension(given[2], np.int32(0)), outputs, rows
        kept = numba.carray(pointer(kernel), (_KEPT,), np.int64)
        places = _by_input(kept, data(given[2]), data(given[3]), sizes)
        job, address = take(PRODUCT, rows, columns)
        job[SOURCE], job[VALUES] = data(given[0]), data(given[1])
        job[INDICES], job[ORDER], job[WEIGHTS], job[STARTS] = places
        job[TARGET] = target
        run(address, settings[0])
        exchange(kernel + 8 * _LOCK, 0)
    return end(given, status)


@_compiled
def _value_gradients(context):
    """Return gradients: errors, examples, indices, starts, threads."""
    given = np.zeros(5, np.int64)
    status = begin(context, given)
    rows = dimension(given[3], np.int32(0)) - 1
    columns = dimension(given[0], np.int32(1))
    entries = np.array([dimension(given[2], np.int32(0))])
    target = output(context, 0, entries, status)
    first = output(context, 1, np.array([rows]), status)
    if target and first:
        job, address = take(GRADIENTS, rows, columns)
        job[WEIGHTS], job[SOURCE] = data(given[0]), data(given[1])
        job[INDICES], job[STARTS] = data(given[2]), data(given[3])
        job[FIRST], job[TARGET] = first, target
        run(address, integers_at(data(given[4]), 1)[0])
    return end(given, status)


@_compiled
def _delete(kernel):
    """Free what a kernel keeps."""
    _free(numba.carray(pointer(kernel), (_KEPT,), np.int64)[_MEMORY])
    _free(kernel)
    return 0


def _functions(stamp):
    """Return the functions that C calls.

    Args:
        stamp: Integer, made of the files of what they call. It is zero times
            part of results, and so part of the key of the cache.
    """

    def product(kernel, context):
        return _product(context) + 0 * stamp

    def input_gradients(kernel, context):
        return _input_gradients(kernel, context) + 0 * stamp

    def value_gradients(kernel, context):
        return _value_gradients(context) + 0 * stamp

    def create(construction):
        return _calloc(_KEPT, 8) + 0 * stamp

    def delete(kernel):
        return _delete(kernel) + 0 * stamp

    def work(job):
        return csr_jobs.work(job) + 0 * stamp

    def serve(pool):
        return csr_pool.serve(pool) + 0 * stamp

    def allocate():
        return csr_pool.allocate() + 0 * stamp

    def start(helpers):
        return csr_pool.start(helpers) + 0 * stamp

    def stop():
        return csr_pool.stop() + 0 * stamp

    products = product, input_gradients, value_gradients
    return *products, create, delete, work, allocate, serve, start, stop


FUNCTIONS = functions(
    _functions, (contexts, csr_jobs, csr_pool, csr_vectors, vectors)
)
