"""Compiled code of TensorFlow operations that convolve by CSR kernels."""

import numba
import numpy as np

from cb.kernels.contexts import begin
from cb.kernels.contexts import data
from cb.kernels.contexts import dimension
from cb.kernels.contexts import end
from cb.kernels.contexts import output
from cb.kernels.csr_convolutions import DISTANCES_BACK
from cb.kernels.csr_convolutions import STARTS_BACK
from cb.kernels.csr_convolutions import WEIGHTS_BACK
from cb.kernels.csr_jobs import CONVOLUTION
from cb.kernels.csr_jobs import CONVOLUTION_GRADIENTS
from cb.kernels.csr_jobs import ENTRIES
from cb.kernels.csr_jobs import FIRST
from cb.kernels.csr_jobs import INDICES
from cb.kernels.csr_jobs import RECTIFIED
from cb.kernels.csr_jobs import SECOND
from cb.kernels.csr_jobs import SHAPE
from cb.kernels.csr_jobs import SOURCE
from cb.kernels.csr_jobs import STARTS
from cb.kernels.csr_jobs import TARGET
from cb.kernels.csr_jobs import WEIGHTS
from cb.kernels.csr_jobs import floats_at
from cb.kernels.csr_jobs import integers_at
from cb.kernels.csr_kept import by_input
from cb.kernels.csr_kept import locked
from cb.kernels.csr_kept import unlock
from cb.kernels.csr_planes import HEIGHT_AFTER
from cb.kernels.csr_planes import IMAGES
from cb.kernels.csr_planes import INPUTS
from cb.kernels.csr_planes import OUTPUTS
from cb.kernels.csr_planes import PLANE
from cb.kernels.csr_planes import PLANES
from cb.kernels.csr_planes import SETTINGS
from cb.kernels.csr_planes import TILES
from cb.kernels.csr_planes import WIDTH_AFTER
from cb.kernels.csr_planes import complete
from cb.kernels.csr_planes import tap
from cb.kernels.csr_pool import run
from cb.kernels.csr_pool import take
from cb.kernels.vectors import FASTMATH

# The sums of gradients over images are made of so many at most, each of the
# same images whatever the number of threads.
_PARTS = 16
# Multiply-adds that take as long as moving a number to a plane.
_MOVE = 4
_compiled = numba.njit(nogil=True, fastmath=FASTMATH)


@_compiled
def _shape(x, starts, settings):
    """Return the shape of a convolution, from tensors."""
    shape = np.zeros(PLANES + 1, np.int64)
    shape[:SETTINGS] = integers_at(data(settings), 2 + SETTINGS)[2:]
    for axis in range(4):
        shape[IMAGES + axis] = dimension(x, np.int32(axis))
    shape[OUTPUTS] = dimension(starts, np.int32(0)) - 1
    complete(shape)
    return shape


@_compiled
def _taps(shape, indices):
    """Return the plane of every entry, and its distance there."""
    inputs = shape[INPUTS] * shape[0] * shape[1]
    plane_of = np.empty(inputs, np.int32)
    distance_of = np.empty(inputs, np.int32)
    for i in range(inputs):
        plane_of[i], distance_of[i] = tap(shape, i)
    return plane_of[indices], distance_of[indices]


@_compiled
def _operations(shape, entries):
    """Return the multiply-adds that take as long as a convolution."""
    positions = shape[IMAGES] * shape[HEIGHT_AFTER] * shape[WIDTH_AFTER]
    moved = shape[PLANES] + shape[OUTPUTS]
    return positions * (entries + _MOVE * moved)


@_compiled
def convolution(context):
    """Convolve: images, values, indices, starts, summands, settings.

    Settings are the number of threads, whether negative sums become zero, and
    those of a shape.
    """
    given = np.zeros(6, np.int64)
    status = begin(context, given)
    shape = _shape(given[0], given[3], given[5])
    sizes = shape[HEIGHT_AFTER - 1 : OUTPUTS + 1].copy()
    sizes[0] = shape[IMAGES]
    target = output(context, 0, sizes, status)
    if target and sizes.prod():
        entries = dimension(given[2], np.int32(0))
        indices = integers_at(data(given[2]), entries)
        plane_of, distances = _taps(shape, indices)
        distances += plane_of * np.int32(shape[PLANE])
        settings = integers_at(data(given[5]), 2)
        job, address = take(CONVOLUTION, 0, 0)
        job[SHAPE], job[SOURCE] = shape.ctypes.data, data(given[0])
        job[INDICES], job[STARTS] = distances.ctypes.data, data(given[3])
        job[WEIGHTS], job[FIRST] = data(given[1]), data(given[4])
        job[TARGET], job[RECTIFIED] = target, settings[1]
        operations = _operations(shape, entries)
        run(address, settings[0], operations, min(shape[TILES], _PARTS))
        # Numba must not free it before.
        shape[0] += distances[0] * 0
    return end(given, status)


@_compiled
def convolution_gradients(kernel, context):
    """Return gradients: errors, images, values, indices, starts, settings.

    They are of images, values and summands.
    """
    given = np.zeros(6, np.int64)
    status = begin(context, given)
    shape = _shape(given[1], given[4], given[5])
    entries, rows = dimension(given[3], np.int32(0)), shape[OUTPUTS]
    target = output(context, 0, shape[IMAGES : INPUTS + 1].copy(), status)
    found = output(context, 1, np.array([entries]), status)
    first = output(context, 2, np.array([rows]), status)
    if target and found and first:
        tasks = min(shape[TILES], _PARTS)
        parts = np.empty((max(tasks, 1), entries + rows), np.float32)
        if tasks and shape[HEIGHT_AFTER] * shape[WIDTH_AFTER]:
            _differentiate(kernel, given, shape, target, parts)
        else:
            parts[:] = 0
            floats_at(target, shape[IMAGES : INPUTS + 1].prod())[:] = 0
        for n in range(1, len(parts)):
            parts[0] += parts[n]
        floats_at(found, entries)[:] = parts[0, :entries]
        floats_at(first, rows)[:] = parts[0, entries:]
    return end(given, status)


@_compiled
def _differentiate(kernel, given, shape, target, parts):
    """Compute the gradient of images, and parts of the others."""
    tasks, entries = len(parts), parts.shape[1] - shape[OUTPUTS]
    indices = integers_at(data(given[3]), entries)
    values = floats_at(data(given[2]), entries)
    plane_of, distances = _taps(shape, indices)
    kept = locked(kernel)
    sizes = entries, shape[OUTPUTS], shape[PLANES]
    output_of, number_of, weights, starts = by_input(
        kept, plane_of.ctypes.data, data(given[4]), sizes
    )
    plane = np.int32(shape[PLANE])
    back = np.empty(entries, np.int32)
    outputs = integers_at(output_of, entries)
    numbers = integers_at(number_of, entries)
    moved = floats_at(weights, entries)
    for k in range(entries):
        back[k] = outputs[k] * plane - distances[numbers[k]]
        moved[k] = values[numbers[k]]
    distances += plane_of * plane
    job, address = take(CONVOLUTION_GRADIENTS, 0, 0)
    job[SHAPE], job[ENTRIES] = shape.ctypes.data, entries
    job[FIRST], job[SOURCE] = data(given[0]), data(given[1])
    job[INDICES], job[STARTS] = distances.ctypes.data, data(given[4])
    job[DISTANCES_BACK], job[WEIGHTS_BACK] = back.ctypes.data, weights
    job[STARTS_BACK], job[TARGET] = starts, target
    job[SECOND] = parts.ctypes.data
    threads = integers_at(data(given[5]), 1)[0]
    run(address, threads, 2 * _operations(shape, entries), tasks)
    unlock(kernel)
    # Numba must not free them before.
    shape[0] += (distances[0] + back[0]) * 0
