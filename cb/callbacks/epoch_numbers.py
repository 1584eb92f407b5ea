"""Numbers that are logged at the end of every epoch.

To log another number, write a function from the model to a dict of names to
numbers, and add it to `epoch_numbers`.
"""

import math
from collections.abc import Callable

import keras
import numpy as np

from cb.callbacks.slots import last_learning_rate
from cb.costs import Costs
from cb.costs import Counter
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels

Numbers = Callable[[keras.Model], dict[str, float]]


def epoch_numbers(
    input_shape: tuple[int | None, ...] | None = None,
) -> list[Numbers]:
    """List the functions whose numbers are logged, in the order of the rows.

    Args:
        input_shape: Tuple, shape of one example, to count what the model
            costs.

    Returns:
        List of callables from a compiled Keras model to a dict of names to
        numbers.
    """
    return [learning_rate, densities, CostNumbers(input_shape)]


def learning_rate(model: keras.Model) -> dict[str, float]:
    """Return the learning rate of the epoch's last update."""
    return {"learning_rate": last_learning_rate(model)}


def densities(model: keras.Model) -> dict[str, float]:
    """Return the fraction of active weights, by kernel and of all masked."""
    kernels = masked_kernels(model)
    # Where they never change they are known, and masks would have to be made.
    active = [
        kernel.layer.connections
        if kernel.layer.fixed_connections
        else np.count_nonzero(read(kernel.mask))
        for kernel in kernels
    ]
    sizes = [math.prod(kernel.mask.shape) for kernel in kernels]
    found = {
        f"density/{kernel.name}": number / size
        for kernel, number, size in zip(kernels, active, sizes, strict=True)
    }
    if kernels:
        found["density"] = sum(active) / sum(sizes)
    return found


class CostNumbers:
    """Counts the operations of inference for one example.

    Args:
        input_shape: Tuple, shape of one example.
    """

    def __init__(self, input_shape: tuple[int | None, ...] | None):
        self._input_shape = input_shape
        self._count: Callable[[], Costs] | None = None

    def __call__(self, model: keras.Model) -> dict[str, float]:
        if self._count is None:
            self._count = Counter(model, self._input_shape).costs
            kernels = masked_kernels(model)
            if any(kernel.layer.fixed_connections for kernel in kernels):
                # No count changes, and the counter holds whole kernels.
                found = self._count()
                self._count = lambda: found
        costs = self._count()
        return {"macs": costs.macs, "flops": costs.flops}
