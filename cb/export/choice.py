"""Choice between sparse and dense products for the layers of a graph."""

import functools
import math
import statistics
from collections.abc import Sequence

import tensorflow as tf

from cb.costs.latency import latency
from cb.export.chains import DenseChain
from cb.export.chains import EagerChain
from cb.export.chains import Layer
from cb.export.checking import SIDES
from cb.export.graph import Call
from cb.export.products import Product

# Seconds of timing for each layer, way of multiplying and batch size.
_TRIAL = 0.05
# Positions to time with; more take no longer each.
ROWS = 2**14


def dense_calls(
    products: dict[Call, Product], batch_sizes: Sequence[int]
) -> list[Call]:
    """Find the layers that are no faster as CSR products on this machine.

    Args:
        products: Dict of a call to its `Product`.
        batch_sizes: Integers, examples in a call.

    Returns:
        List of calls.
    """
    gains: dict[tuple, float] = {}
    found = []
    for call, item in products.items():
        sides = call.sources[0].shape[1:-1]
        positions = math.prod(side or SIDES[0] for side in sides)
        # Networks repeat themselves; what is alike takes as long.
        key = positions, item.matrix.shape, item.matrix.nnz
        if key not in gains:
            gains[key] = _gain(positions, item, batch_sizes)
        if gains[key] <= 1.0:
            found.append(call)
    return found


def _gain(positions, item, batch_sizes) -> float:
    """Return the geometric mean of the speed-ups of the CSR product."""
    layers = [Layer(item.matrix, item.bias, "relu")]
    sparse, dense = EagerChain(layers), DenseChain(layers)
    gains = []
    for size in batch_sizes:
        rows = min(size * positions, ROWS)
        inputs = tf.ones((rows, item.matrix.shape[1]))
        seconds = [
            latency(functools.partial(run, inputs), _TRIAL).low
            for run in (dense, sparse)
        ]
        gains.append(seconds[0] / seconds[1])
    return statistics.geometric_mean(gains)
