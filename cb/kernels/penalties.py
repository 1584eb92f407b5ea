"""Compiled code of TensorFlow operations that penalize weights.

Each does in one pass what takes TensorFlow eight, and rounds as these do. Their
inputs are weights, a mask, 1 where an inactive weight trains or nothing if all
do, and the factors of active and of inactive weights.
"""

import numba
import numpy as np

from cb.kernels import contexts
from cb.kernels import csr_jobs
from cb.kernels import csr_vectors
from cb.kernels.contexts import data
from cb.kernels.contexts import dimension
from cb.kernels.contexts import elementwise
from cb.kernels.contexts import functions
from cb.kernels.csr_jobs import floats_at

_ONE, _TWO = np.float32(1), np.float32(2)
# Without any freedom to compute in another order.
_compiled = numba.njit(nogil=True)


@_compiled
def _arrays(given, size):
    """Return weights, mask and what trains as arrays, and the factors."""
    number = dimension(given[2], np.int32(0))
    factors = floats_at(data(given[3]), 2)
    return (
        floats_at(data(given[0]), size),
        floats_at(data(given[1]), size),
        floats_at(data(given[2]), number),
        (factors[0], factors[1]),
    )


@_compiled
def _factor(mask, trains, factors, i):
    active, inactive = factors
    own = trains[i] if trains.size else _ONE
    return inactive * ((_ONE - mask[i]) * own) + active * mask[i]


@_compiled
def _squares(kernel, given, size, target, _):
    """Write the products of factors and squared weights."""
    weights, mask, trains, factors = _arrays(given, size)
    found = floats_at(target, size)
    for i in range(size):
        factor = _factor(mask, trains, factors, i)
        found[i] = factor * (weights[i] * weights[i])


@_compiled
def _gradients(kernel, given, size, target, _):
    """Write the gradient of a fifth input times the sum of `_squares`."""
    weights, mask, trains, factors = _arrays(given, size)
    upstream = floats_at(data(given[4]), 1)[0]
    found = floats_at(target, size)
    for i in range(size):
        factor = _factor(mask, trains, factors, i)
        found[i] = upstream * factor * (weights[i] * _TWO)


_penalty = elementwise(4, _squares)
_penalty_gradients = elementwise(5, _gradients)


def _functions(stamp):
    def penalty(kernel, context):
        return _penalty(kernel, context) + 0 * stamp

    def penalty_gradients(kernel, context):
        return _penalty_gradients(kernel, context) + 0 * stamp

    return penalty, penalty_gradients


FUNCTIONS = functions(_functions, (contexts, csr_jobs, csr_vectors))
