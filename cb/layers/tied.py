"""Layers whose kernel shares a few values, as in HashedNets."""

import math
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from cb import seeds
from cb.errors import InputError
from cb.layers.computed_kernels import ComputedKernel
from cb.layers.computed_kernels import ComputedKernels
from cb.registry import check
from cb.sparsity.granularity import block_shape
from cb.sparsity.granularity import grid_shape

Granularity = Literal["weight", "slice"]


def balanced_table(shape, rows: int, seed: int) -> np.ndarray:
    """Assign the positions of a kernel to the rows of a bank, at random.

    Args:
        shape: Tuple, shape of the positions.
        rows: Integer, rows of the bank.
        seed: Integer.

    Returns:
        Integer array of shape `shape`; rows differ by at most one in how
        often they occur.
    """
    size = math.prod(shape)
    order = seeds.generator(seed, "tied").permutation(size)
    table = np.empty(size, np.int32)
    table[order] = np.arange(size) % rows
    return table.reshape(shape)


def _scaled_gradient(values, factor):
    @tf.custom_gradient
    def identity(values):
        def gradient(upstream):
            # The gradient of a lookup is `IndexedSlices`, for which optimizers
            # have another rule.
            return tf.convert_to_tensor(upstream) * factor

        return tf.identity(values), gradient

    return identity(values)


class Tied(ComputedKernels):
    """Mixin: the kernel is looked up in a bank of fewer values.

    The gradient of a value in the bank is the sum over the positions that
    share it.

    Args:
        *args: As in the Keras layer.
        sparsity: Float in [0, 1), one minus the size of the bank over that
            of the kernel.
        granularity: `"weight"`, or `"slice"` where a row of the bank is a
            whole kernel slice of a convolution.
        rescale_gradient: Boolean, whether to divide the gradient of the bank
            by the mean number of positions that share a value.
        seed: Integer, decides which positions share.
        **kwargs: As in the Keras layer.

    Reference:

    - [Chen et al., 2015](https://arxiv.org/abs/1504.04788)
    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    added_arguments = ("sparsity", "granularity", "rescale_gradient", "seed")
    spatial = 0
    kernel = ComputedKernel("kernel")

    def __init__(
        self,
        *args,
        sparsity: float = 0.5,
        granularity: Granularity = "weight",
        rescale_gradient: bool = False,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        check("granularity", granularity, Granularity, "a tied layer")
        self.sparsity = sparsity
        self.granularity = granularity
        self.rescale_gradient = rescale_gradient
        self.seed = seed

    def add_weight(self, shape=None, initializer=None, **kwargs):
        """Add a weight, for the kernel its bank and table instead."""
        if kwargs.get("name") != "kernel":
            return super().add_weight(shape, initializer, **kwargs)
        self.kernel_shape = tuple(shape)
        block = block_shape(self.granularity, self.kernel_shape, self.spatial)
        grid = grid_shape(self.kernel_shape, block)
        positions = math.prod(grid)
        rows = round((1.0 - self.sparsity) * positions)
        if not 1 <= rows <= positions:
            raise InputError(
                "Argument `sparsity` of a tied layer must be in [0, 1) and "
                f"leave a value. Received: sparsity={self.sparsity}"
            )
        self.sharing = positions / rows
        table = balanced_table(grid, rows, self.seed)
        self.table = self.add_integers("table", table)
        row = block[: self.spatial] if math.prod(block) > 1 else ()
        return super().add_weight(
            (rows, *row),
            lambda shape, dtype=None: _shared(
                initializer(self.kernel_shape, dtype=dtype), table, row
            ),
            **kwargs,
        )

    @property
    def bank(self):
        """The variable with the shared values."""
        return self._kernel

    def raw(self, name):
        return self.effective(name)

    def mask_of(self, name):
        return None

    def trained(self, name):
        return self.bank

    def kernel_variables(self):
        return [self.bank, self.table]

    def write_kernel(self, name, kernel, mask=None):
        # Of the weights that share a value, the first counts.
        row = tuple(self.bank.shape)[1:]
        table = ops.convert_to_numpy(self.table)
        self.bank.assign(_shared(kernel, table, row))

    def effective(self, name):
        """Return the kernel, each position with the value of its row."""
        bank = tf.convert_to_tensor(self.bank)
        factor = 1.0 / self.sharing if self.rescale_gradient else 1.0
        bank = _scaled_gradient(bank, factor)
        kernel = ops.take(bank, self.table, axis=0)
        if len(bank.shape) > 1:
            kernel = ops.transpose(kernel[0, 0], (2, 3, 0, 1))
        return ops.reshape(kernel, self.kernel_shape)

    save_own_variables = keras.layers.Layer.save_own_variables
    load_own_variables = keras.layers.Layer.load_own_variables


def _shared(kernel, table, row):
    """Return for every row of the bank its first place in the kernel."""
    _, first = np.unique(table.reshape(-1), return_index=True)
    if row:
        # Positions are (1, 1, inputs, outputs), rows (height, width).
        kernel = ops.transpose(kernel, (2, 3, 0, 1))
    return ops.take(ops.reshape(kernel, (-1, *row)), first, axis=0)


@keras.saving.register_keras_serializable("cb")
class TiedDense(Tied, keras.layers.Dense):
    """`keras.layers.Dense` whose kernel shares values.

    Takes the arguments of `keras.layers.Dense` and of `Tied`.
    """

    dense_class = keras.layers.Dense


@keras.saving.register_keras_serializable("cb")
class TiedConv2D(Tied, keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose kernel shares values or slices.

    Takes the arguments of `keras.layers.Conv2D` and of `Tied`.
    """

    dense_class = keras.layers.Conv2D
    spatial = 2
