"""Compiled code of TensorFlow operations that penalize weights.

Each does in one pass what takes TensorFlow eight, and rounds as these do.
"""

import numba
import numpy as np

from cb.kernels import contexts
from cb.kernels import csr_jobs
from cb.kernels import csr_vectors
from cb.kernels.contexts import begin
from cb.kernels.contexts import data
from cb.kernels.contexts import dimension
from cb.kernels.contexts import end
from cb.kernels.contexts import functions
from cb.kernels.contexts import output
from cb.kernels.csr_jobs import floats_at

_ONE, _TWO = np.float32(1), np.float32(2)
# Without any freedom to compute in another order.
_compiled = numba.njit(nogil=True)


@_compiled
def _factor(active, inactive, mask, trains):
    return inactive * ((_ONE - mask) * trains) + active * mask


@_compiled
def squares(weights, mask, trains, factors, target):
    """Write the products of factors and squared weights.

    Args:
        weights: Float array.
        mask: Float array, 1 where a weight is active.
        trains: Float array, 1 where it trains, or empty if all of them do.
        factors: Tuple of floats, those of active and of inactive weights.
        target: Float array, written.
    """
    active, inactive = factors
    if trains.size:
        for i in range(weights.size):
            factor = _factor(active, inactive, mask[i], trains[i])
            target[i] = factor * (weights[i] * weights[i])
    else:
        for i in range(weights.size):
            factor = _factor(active, inactive, mask[i], _ONE)
            target[i] = factor * (weights[i] * weights[i])


@_compiled
def gradients(weights, mask, trains, factors, upstream, target):
    """Write the gradient of `upstream` times the sum of `squares`."""
    active, inactive = factors
    if trains.size:
        for i in range(weights.size):
            factor = _factor(active, inactive, mask[i], trains[i])
            target[i] = upstream * factor * (weights[i] * _TWO)
    else:
        for i in range(weights.size):
            factor = _factor(active, inactive, mask[i], _ONE)
            target[i] = upstream * factor * (weights[i] * _TWO)


@_compiled
def _penalty(context):
    """Compute what `squares` writes: weights, mask, trains, settings."""
    given = np.zeros(4, np.int64)
    status = begin(context, given)
    size = dimension(given[0], np.int32(0))
    target = output(context, 0, np.array([size]), status)
    if target:
        settings = floats_at(data(given[3]), 2)
        squares(
            floats_at(data(given[0]), size),
            floats_at(data(given[1]), size),
            floats_at(data(given[2]), dimension(given[2], np.int32(0))),
            (settings[0], settings[1]),
            floats_at(target, size),
        )
    return end(given, status)


@_compiled
def _penalty_gradients(context):
    """Compute what `gradients` writes: as above, and upstream."""
    given = np.zeros(5, np.int64)
    status = begin(context, given)
    size = dimension(given[0], np.int32(0))
    target = output(context, 0, np.array([size]), status)
    if target:
        settings = floats_at(data(given[3]), 2)
        gradients(
            floats_at(data(given[0]), size),
            floats_at(data(given[1]), size),
            floats_at(data(given[2]), dimension(given[2], np.int32(0))),
            (settings[0], settings[1]),
            floats_at(data(given[4]), 1)[0],
            floats_at(target, size),
        )
    return end(given, status)


def _functions(stamp):
    def penalty(kernel, context):
        return _penalty(context) + 0 * stamp

    def penalty_gradients(kernel, context):
        return _penalty_gradients(context) + 0 * stamp

    return penalty, penalty_gradients


FUNCTIONS = functions(_functions, (contexts, csr_jobs, csr_vectors))
