"""Compiled code of TensorFlow operations on CSR matrices."""

import numba
import numpy as np

from cb.kernels import contexts
from cb.kernels import csr_convolution_kernels
from cb.kernels import csr_convolutions
from cb.kernels import csr_jobs
from cb.kernels import csr_kept
from cb.kernels import csr_planes
from cb.kernels import csr_pool
from cb.kernels import csr_vectors
from cb.kernels import csr_work
from cb.kernels import moving
from cb.kernels import vectors
from cb.kernels.contexts import begin
from cb.kernels.contexts import data
from cb.kernels.contexts import dimension
from cb.kernels.contexts import end
from cb.kernels.contexts import functions
from cb.kernels.contexts import output
from cb.kernels.csr_jobs import COLUMNS
from cb.kernels.csr_jobs import FIRST
from cb.kernels.csr_jobs import GRADIENTS
from cb.kernels.csr_jobs import INDICES
from cb.kernels.csr_jobs import ORDER
from cb.kernels.csr_jobs import PRODUCT
from cb.kernels.csr_jobs import RECTIFIED
from cb.kernels.csr_jobs import ROWS
from cb.kernels.csr_jobs import SOURCE
from cb.kernels.csr_jobs import STARTS
from cb.kernels.csr_jobs import TARGET
from cb.kernels.csr_jobs import VALUES
from cb.kernels.csr_jobs import WEIGHTS
from cb.kernels.csr_jobs import integers_at
from cb.kernels.csr_kept import by_input
from cb.kernels.csr_kept import locked
from cb.kernels.csr_kept import unlock
from cb.kernels.csr_pool import run
from cb.kernels.csr_pool import shares
from cb.kernels.csr_pool import take
from cb.kernels.vectors import FASTMATH

_compiled = numba.njit(nogil=True, fastmath=FASTMATH)


@_compiled
def _share(job, address, threads):
    """Run a job whose tasks are rows."""
    rows = job[ROWS]
    operations = job[COLUMNS] * integers_at(job[STARTS], rows + 1)[rows]
    run(address, threads, operations, min(rows, shares(threads, operations)))


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
        _share(job, address, settings[0])
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
        kept = locked(kernel)
        sizes = dimension(given[2], np.int32(0)), outputs, rows
        places = by_input(kept, data(given[2]), data(given[3]), sizes)
        job, address = take(PRODUCT, rows, columns)
        job[SOURCE], job[VALUES] = data(given[0]), data(given[1])
        job[INDICES], job[ORDER], job[WEIGHTS], job[STARTS] = places
        job[TARGET] = target
        _share(job, address, settings[0])
        unlock(kernel)
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
        _share(job, address, integers_at(data(given[4]), 1)[0])
    return end(given, status)


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
        return csr_kept.create() + 0 * stamp

    def delete(kernel):
        return csr_kept.delete(kernel) + 0 * stamp

    def work(job):
        return csr_work.work(job) + 0 * stamp

    def serve(pool):
        return csr_pool.serve(pool) + 0 * stamp

    def allocate():
        return csr_pool.allocate() + 0 * stamp

    def start(helpers):
        return csr_pool.start(helpers) + 0 * stamp

    def stop():
        return csr_pool.stop() + 0 * stamp

    def convolution(kernel, context):
        return csr_convolution_kernels.convolution(context) + 0 * stamp

    def convolution_gradients(kernel, context):
        run = csr_convolution_kernels.convolution_gradients
        return run(kernel, context) + 0 * stamp

    products = product, input_gradients, value_gradients
    products = *products, convolution, convolution_gradients
    return *products, create, delete, work, allocate, serve, start, stop


FUNCTIONS = functions(
    _functions,
    (
        contexts,
        csr_convolution_kernels,
        csr_convolutions,
        csr_jobs,
        csr_kept,
        csr_planes,
        csr_pool,
        csr_vectors,
        csr_work,
        moving,
        vectors,
    ),
)
