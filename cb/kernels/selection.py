"""Compiled code of TensorFlow operations that select weights by size.

They choose as `cb.sparsity.masks` does. What they count is returned in
float32, exact up to 2^24.
"""

import numba
import numpy as np

from cb.kernels import contexts
from cb.kernels import csr_jobs
from cb.kernels import csr_vectors
from cb.kernels import vectors
from cb.kernels.contexts import begin
from cb.kernels.contexts import data
from cb.kernels.contexts import dimension
from cb.kernels.contexts import end
from cb.kernels.contexts import functions
from cb.kernels.contexts import output
from cb.kernels.csr_jobs import floats_at
from cb.kernels.csr_vectors import pointer
from cb.kernels.vectors import FASTMATH

# How far from the last threshold, as a fraction of it, the next one is sought.
_MARGIN = 0.002
# Weights whose counts float32 holds, and that are looked at together.
_BLOCK = 128
_ZERO, _ONE, _INFINITY = np.float32(0), np.float32(1), np.float32(np.inf)
_LAST = 0
# Of the 31 bits of a size: how far they are shifted, and how many they are.
_DIGITS = ((20, 11), (10, 10), (0, 10))
_compiled = numba.njit(nogil=True, fastmath=FASTMATH)


@_compiled
def _integers_at(address, length):
    """Return the int64 array at an address."""
    return numba.carray(pointer(address), (length,), np.int64)


@_compiled
def _highest(weights, count):
    """Return the `count`-th largest size, infinity for none."""
    if count <= 0:
        return _INFINITY
    bits = weights.view(np.int32)
    found = 0
    for shift, width in _DIGITS:
        counts = np.zeros(1 << 11, np.int64)
        for i in range(bits.size):
            number = bits[i] & 0x7FFFFFFF
            if number >> (shift + width) == found:
                counts[(number >> shift) & ((1 << width) - 1)] += 1
        digit = (1 << width) - 1
        while counts[digit] < count:
            count -= counts[digit]
            digit -= 1
        found = found << width | digit
    return np.array([found], np.int32).view(np.float32)[0]


@_compiled
def _near(weights, last, values, places):
    """List the sizes close to a threshold.

    Args:
        weights: Float array.
        last: Float, the threshold.
        values: Float array, written with the sizes.
        places: Integer array, written with their places.

    Returns:
        Tuple of how many are above them, how many they are, more than there
        is room for if there is none, and the largest that counts as close.
    """
    low = np.float32(last * (1.0 - _MARGIN))
    high = np.float32(last * (1.0 + _MARGIN))
    above, found = 0, 0
    for start in range(0, weights.size, _BLOCK):
        block = weights[start : start + _BLOCK]
        higher, close = _ZERO, _ZERO
        for i in range(block.size):
            size = abs(block[i])
            higher += _ONE if size > high else _ZERO
            close += _ONE if size >= low else _ZERO
        above += int(higher)
        if close == higher:
            continue
        if found + _BLOCK > values.size:
            return above, values.size + 1, high
        for i in range(block.size):
            size = abs(block[i])
            if low <= size <= high:
                values[found], places[found] = size, start + i
                found += 1
    return above, found, high


@_compiled
def _keep_above(weights, active, threshold, mask, numbers):
    """Write a mask of the sizes above a threshold, and count.

    Args:
        weights: Float array.
        active: Float array, the mask before.
        threshold: Float.
        mask: Float array, written.
        numbers: Float array, written: how many were active, of these how
            many are, how many are, how many are not numbers.
    """
    totals = np.zeros(4, np.int64)
    for start in range(0, weights.size, 32 * _BLOCK):
        stop = start + 32 * _BLOCK
        block, old = weights[start:stop], active[start:stop]
        new = mask[start:stop]
        before, kept, after, numeric = _ZERO, _ZERO, _ZERO, _ZERO
        for i in range(block.size):
            size = abs(block[i])
            chosen = _ONE if size > threshold else _ZERO
            new[i] = chosen
            before += old[i]
            kept += old[i] * chosen
            after += chosen
            numeric += _ONE if size <= _INFINITY else _ZERO
        totals[0] += int(before)
        totals[1] += int(kept)
        totals[2] += int(after)
        totals[3] += block.size - int(numeric)
    for n in range(len(totals)):
        numbers[n] = totals[n]


@_compiled
def _choose(weights, active, count, kept, mask, numbers):
    """Choose the largest weights; ties go to the lower index.

    The last threshold leaves few weights to compare, unless it has moved far.

    Args:
        weights: Float array.
        active: Float array, the mask before.
        count: Integer, the number to choose.
        kept: Integer array, what the kernel keeps.
        mask: Float array, written.
        numbers: Float array, written as by `_keep_above`.
    """
    last = kept[_LAST : _LAST + 1].view(np.float32)
    values = np.empty(weights.size // 8 + _BLOCK, np.float32)
    places = np.empty(values.size, np.int64)
    above, found, threshold = _near(weights, last[0], values, places)
    known = found <= values.size and above <= count <= above + found
    if not known:
        threshold = _highest(weights, count)
    elif above < count:
        threshold = _highest(values[:found], count - above)
    _keep_above(weights, active, threshold, mask, numbers)
    last[0] = threshold if threshold < _INFINITY else _ZERO
    left = count - int(numbers[2])
    for number in range(found if known else weights.size):
        if left == 0:
            break
        place = places[number] if known else number
        if abs(weights[place]) == threshold:
            mask[place] = _ONE
            numbers[1] += active[place]
            numbers[2] += _ONE
            left -= 1


@_compiled
def _choose_of_groups(weights, active, settings, mask, numbers):
    """Choose the largest weights of groups; ties go to the lower index.

    Args:
        weights: Float array `(outer, length, inner)`, of which groups lie
            along the second axis; the last one may be smaller.
        active: Float array of its shape, the mask before.
        settings: Tuple of how many to choose and the size of a group.
        mask: Float array of its shape, written.
        numbers: Float array, written as by `_keep_above`.
    """
    n, m = settings
    outer, length, inner = weights.shape
    totals, rank = np.zeros(4, np.int64), np.empty(inner, np.float32)
    for o in range(outer):
        for first in range(0, length, m):
            stop = min(first + m, length)
            for own in range(first, stop):
                size = weights[o, own]
                # What lacks in a group comes last, but before what is no
                # number.
                missing = np.float32(first + m - stop)
                for i in range(inner):
                    no_number = not abs(size[i]) <= _INFINITY
                    rank[i] = missing if no_number else _ZERO
                for other in range(first, own):
                    rival = weights[o, other]
                    for i in range(inner):
                        wins = abs(rival[i]) >= abs(size[i])
                        rank[i] += _ONE if wins else _ZERO
                for other in range(own + 1, stop):
                    rival = weights[o, other]
                    for i in range(inner):
                        wins = abs(size[i]) >= abs(rival[i])
                        rank[i] += _ZERO if wins else _ONE
                old, new = active[o, own], mask[o, own]
                before, kept, after = _ZERO, _ZERO, _ZERO
                for i in range(inner):
                    chosen = _ONE if rank[i] < n else _ZERO
                    new[i] = chosen
                    before += old[i]
                    kept += old[i] * chosen
                    after += chosen
                totals[0] += int(before)
                totals[1] += int(kept)
                totals[2] += int(after)
    for n in range(len(totals)):
        numbers[n] = totals[n]


@_compiled
def _keep_top(kernel, context):
    """Choose: weights, active, count."""
    given = np.zeros(3, np.int64)
    status = begin(context, given)
    size = dimension(given[0], np.int32(0))
    target = output(context, 0, np.array([size]), status)
    numbers = output(context, 1, np.array([4]), status)
    if target and numbers:
        _choose(
            floats_at(data(given[0]), size),
            floats_at(data(given[1]), size),
            _integers_at(data(given[2]), 1)[0],
            _integers_at(kernel, 1),
            floats_at(target, size),
            floats_at(numbers, 4),
        )
    return end(given, status)


@_compiled
def _keep_top_of_groups(context):
    """Choose: weights, active, settings.

    Settings are how many to choose, the size of a group, and the lengths of
    three axes, of which groups lie along the second.
    """
    given = np.zeros(3, np.int64)
    status = begin(context, given)
    size = dimension(given[0], np.int32(0))
    target = output(context, 0, np.array([size]), status)
    numbers = output(context, 1, np.array([4]), status)
    if target and numbers:
        settings = _integers_at(data(given[2]), 5)
        shape = settings[2], settings[3], settings[4]
        _choose_of_groups(
            floats_at(data(given[0]), size).reshape(shape),
            floats_at(data(given[1]), size).reshape(shape),
            (settings[0], settings[1]),
            floats_at(target, size).reshape(shape),
            floats_at(numbers, 4),
        )
    return end(given, status)


@_compiled
def _replace_some(context):
    """Return other values at some places: before, places, values."""
    given = np.zeros(3, np.int64)
    status = begin(context, given)
    size = dimension(given[0], np.int32(0))
    number = dimension(given[1], np.int32(0))
    target = output(context, 0, np.array([size]), status)
    if target:
        after = floats_at(target, size)
        after[:] = floats_at(data(given[0]), size)
        places = _integers_at(data(given[1]), number)
        values = floats_at(data(given[2]), number)
        for k in range(number):
            after[places[k]] = values[k]
    return end(given, status)


def _functions(stamp):
    def keep_top(kernel, context):
        return _keep_top(kernel, context) + 0 * stamp

    def keep_top_of_groups(kernel, context):
        return _keep_top_of_groups(context) + 0 * stamp

    def replace_some(kernel, context):
        return _replace_some(context) + 0 * stamp

    return keep_top, keep_top_of_groups, replace_some


FUNCTIONS = functions(_functions, (contexts, csr_jobs, csr_vectors, vectors))
