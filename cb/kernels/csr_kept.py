"""What operations on CSR matrices keep from call to call: a transpose."""

import numba
import numpy as np
from numba.core import types

from cb.kernels.csr_jobs import integers_at
from cb.kernels.csr_pool import external
from cb.kernels.csr_vectors import exchange
from cb.kernels.csr_vectors import pointer
from cb.kernels.vectors import FASTMATH

_LOCK, _MEMORY, _ENTRIES, _OUTPUTS, _INPUTS, _KEPT = range(6)
_address = types.intp
_compiled = numba.njit(nogil=True, fastmath=FASTMATH)

_calloc = external("calloc", _address, _address, _address)
_free = external("free", types.void, _address)
_memcmp = external("memcmp", types.int32, _address, _address, _address)
_yield = external("sched_yield", types.int32)


@_compiled
def create():
    """Return the address of what a kernel keeps, nothing yet."""
    return _calloc(_KEPT, 8)


@_compiled
def by_input(kernel, indices, starts, sizes):
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
def locked(kernel):
    """Wait until nobody uses what a kernel keeps; return it."""
    while exchange(kernel + 8 * _LOCK, 1):
        _yield()
    return numba.carray(pointer(kernel), (_KEPT,), np.int64)


@_compiled
def unlock(kernel):
    """Let others use what a kernel keeps."""
    exchange(kernel + 8 * _LOCK, 0)


@_compiled
def delete(kernel):
    """Free what a kernel keeps."""
    _free(numba.carray(pointer(kernel), (_KEPT,), np.int64)[_MEMORY])
    _free(kernel)
    return 0
