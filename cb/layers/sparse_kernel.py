"""The base of layers that store their active weights only."""

import contextlib
import math
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import scipy.sparse
import tensorflow as tf
from keras import ops

from cb import seeds
from cb.errors import InputError
from cb.kernels.threads import require_numba
from cb.layers.attributes import overridden
from cb.layers.computed_kernels import ComputedKernels
from cb.layers.computed_kernels import numpy_value
from cb.layers.dense_view import DenseView
from cb.layers.saved_state import SavedStates
from cb.sparsity import masks

# Sums over single weights are the same without the zeros.
REGULARIZERS = (
    keras.regularizers.L1,
    keras.regularizers.L2,
    keras.regularizers.L1L2,
)


class SparseKernel(ComputedKernels):
    """Mixin: a layer that stores and multiplies active weights only.

    A training step takes time and memory in proportion to the active
    weights: these are the variable `values`, so gradients, optimizer slots
    and updates have that size too. Their positions are in `indices` (the
    input of each) and `indptr` (the start of each output); change them with
    `fill` only, since products do not check them. Products run on the
    processor, in float32, compiled by Numba; bias and ReLU are part of them.
    XLA and second derivatives are not supported. The kernel's regularizer must
    be `L1`, `L2` or `L1L2`; it takes no constraint.

    Args:
        *args: As in the Keras layer.
        connections: Integer, number of active weights, which never changes.
        seed: Integer, seed of the initial positions.
        **kwargs: As in the Keras layer.

    Attributes:
        kernel_shape: The shape of the whole kernel.
        input_axes: How many axes of the inputs are multiplied: the last.
        output_axes: How many axes of the kernel are of outputs: the last.

    Raises:
        InputError: If an argument is wrong or Numba is not installed.
    """

    masked_weights = ("kernel",)
    fixed_connections = True
    added_arguments = ("connections", "seed")
    granularity = "weight"
    input_axes = output_axes = 1
    activation: Any
    dtype_policy: Any
    kernel_constraint: Any
    kernel_regularizer: Any
    # Gradients reach inactive weights by a kernel that is multiplied instead
    # while a function is traced.
    opened: tf.Tensor | None = None
    # The kernel that the layer was made from, until training begins, and
    # while algorithms choose among all of its weights.
    initial: np.ndarray | None = None
    whole: np.ndarray | None = None

    def __init__(self, *args, connections: int, seed: int = 0, **kwargs):
        super().__init__(*args, **kwargs)
        require_numba()
        self.connections = connections
        self.seed = seed
        self.supports_jit = False
        if reason := self.unable(self):
            raise InputError(
                f"Layer {self.name!r} cannot have CSR kernels: {reason}"
            )
        if not isinstance(connections, int) or connections < 1:
            self._refuse("connections", "a positive integer", connections)
        if self.dtype_policy.name != "float32":
            self._refuse("dtype", "float32", self.dtype_policy.name)
        if self.kernel_constraint is not None:
            self._refuse("kernel_constraint", "None", self.kernel_constraint)
        if type(self.kernel_regularizer) not in (type(None), *REGULARIZERS):
            expected = "L1, L2, L1L2 or None"
            received = self.kernel_regularizer
            self._refuse("kernel_regularizer", expected, received)

    @classmethod
    def unable(cls, layer: keras.layers.Layer) -> str:
        """Return why a layer of the Keras class has no such form, or `""`."""
        del layer
        return ""

    @classmethod
    def limits(cls, layer: keras.layers.Layer) -> tuple[float, int]:
        """Return the largest density and the smallest size that pay.

        Args:
            layer: Layer of the Keras class. Its size is the number of
                weights, active or not.
        """
        del layer
        return 0.05, 250_000

    def weight_shapes(self, input_shape) -> tuple[tuple, tuple | None]:
        """Return the shape of the kernel and that of the bias, if any.

        Args:
            input_shape: Tuple, the shape of the inputs.
        """
        raise NotImplementedError

    def _refuse(self, name, expected, received):
        raise InputError(
            f"Argument `{name}` of a layer on CSR kernels must be {expected}. "
            f"Received: {name}={received!r} for layer {self.name!r}"
        )

    def build(self, input_shape):
        self.kernel_shape, bias_shape = self.weight_shapes(input_shape)
        size = math.prod(self.kernel_shape)
        if self.connections > size:
            self._refuse("connections", f"at most {size}", self.connections)
        drawn = masks.choose(
            np.ones(self.matrix_shape, bool),
            self.connections,
            seeds.generator(self.seed, "connections"),
        )
        matrix = csr(drawn)
        self.values = self.add_weight(
            name="values",
            shape=(self.connections,),
            initializer=self._initial_values(drawn),
            regularizer=self.kernel_regularizer,
        )
        self.indices = self.add_integers("indices", matrix.indices)
        self.indptr = self.add_integers("starts", matrix.indptr)
        self.bias = None
        if bias_shape is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=bias_shape,
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        axes = range(-self.input_axes, 0)
        self.input_spec = keras.layers.InputSpec(
            min_ndim=1 + self.input_axes,
            axes={axis: input_shape[axis] for axis in axes},
        )
        vars(self)["reallocation_state"] = SavedStates()
        self.built = True

    def _initial_values(self, drawn):
        places = np.flatnonzero(drawn.T)

        def initializer(shape, dtype=None):
            del shape
            # Its scale is by the shape of the kernel, not of the matrix.
            kernel = self.kernel_initializer(self.kernel_shape, dtype=dtype)
            kernel = ops.reshape(kernel, self.matrix_shape)
            return ops.take(ops.reshape(ops.transpose(kernel), (-1,)), places)

        return initializer

    def call(self, inputs, training=None):
        outputs = self.kernel_shape[-self.output_axes :]
        bias = tf.zeros(outputs) if self.bias is None else self.bias
        bias = ops.broadcast_to(bias, outputs)
        rectified = self.activation is keras.activations.relu
        if self.opened is not None:
            x, rectified = self.whole_product(inputs, self.opened), False
            x = ops.add(x, bias)
        else:
            bias = tf.reshape(tf.convert_to_tensor(bias), (-1,))
            x = self.product(inputs, bias, rectified)
        if rectified or self.activation is None:
            return x
        return self.activation(x)

    def product(self, inputs, bias, rectified: bool):
        """Multiply by the active weights.

        Args:
            inputs: Tensor.
            bias: Tensor, a number for each output, added to the product.
            rectified: Boolean, whether negative outputs become zero.
        """
        from cb.kernels.csr_products import multiply

        def multiplied(x):
            return multiply(x, *self._matrix(), bias, rectified)

        return self._flat(inputs, multiplied)

    def whole_product(self, inputs, kernel):
        """Multiply by a dense kernel instead."""
        kernel = ops.reshape(kernel, self.matrix_shape)
        return self._flat(inputs, lambda x: ops.matmul(x, kernel))

    def _flat(self, inputs, multiplied):
        """Apply a product of matrices to inputs of more axes."""
        shape = ops.shape(inputs)[: -self.input_axes]
        outputs = self.kernel_shape[-self.output_axes :]
        # Between layers in a row, no operation keeps TensorFlow from dropping
        # their transpositions.
        if len(shape) == len(outputs) == self.input_axes == 1:
            return multiplied(inputs)
        x = multiplied(ops.reshape(inputs, (-1, self.matrix_shape[0])))
        return ops.reshape(x, (*shape, *outputs))

    def _matrix(self):
        """Return values, indices and starts as tensors."""
        return map(tf.convert_to_tensor, (self.values, *self.structure))

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """The inputs and outputs of the kernel as a matrix."""
        inputs = math.prod(self.kernel_shape[: -self.output_axes])
        return inputs, math.prod(self.kernel_shape[-self.output_axes :])

    def by_output(self, kernel: np.ndarray) -> np.ndarray:
        """Return an array of the kernel's shape as a matrix, outputs first."""
        return kernel.reshape(self.matrix_shape).T

    @property
    def structure(self):
        """The variables with the positions of the active weights."""
        return self.indices, self.indptr

    @property
    def kernel(self):
        """The whole kernel, zero where it is inactive."""
        if self.whole is not None:
            return tf.constant(self.whole)
        return self.spread(self.values)

    @property
    def mask(self):
        """1 where the kernel is active, of its shape."""
        return DenseView(self, is_mask=True)

    def raw(self, name):
        return DenseView(self, is_mask=False)

    def trained(self, name):
        return self.values

    def mask_of(self, name):
        return self.mask

    def kernel_variables(self):
        return [self.values, *self.structure]

    def write_kernel(self, name, kernel, mask=None):
        mask = self.mask if mask is None else mask
        kernel = numpy_value(kernel)
        self.fill(kernel, numpy_value(mask) != 0)
        vars(self)["initial"] = kernel

    def open(self) -> None:
        """Read as the kernel that the layer was made from, all of it active.

        Raises:
            InputError: If training has begun, or weights have changed since.
        """
        initial, mask = self.initial, numpy_value(self.mask) != 0
        kernel = numpy_value(self.kernel)
        if initial is None or not np.array_equal(initial[mask], kernel[mask]):
            raise InputError(
                "An algorithm that chooses its first connections needs all "
                f"initial weights, which layer {self.name!r} on CSR kernels "
                "holds only from `cb.to_csr` to the first training, while "
                "nobody else writes to it. Expected masked layers."
            )
        vars(self)["whole"] = initial

    def close(self) -> None:
        """Undo `open`, and forget the kernel that the layer was made from."""
        for name in ("initial", "whole"):
            vars(self).pop(name, None)

    def block(self, name):
        return (1,) * len(self.kernel_shape)

    def fill(self, kernel, mask):
        """Set the kernel and its mask, with as many active weights as before.

        Args:
            kernel: Float array of the kernel's shape.
            mask: Boolean array of the same shape.

        Raises:
            InputError: If the mask is of another shape or number.
        """
        found = (mask.shape, int(np.count_nonzero(mask)))
        if found != (self.kernel_shape, self.connections):
            raise InputError(
                f"Argument `mask` of layer {self.name!r} must be of shape "
                f"{self.kernel_shape}, {self.connections} of it active. "
                f"Received: shape {found[0]}, {found[1]} active"
            )
        matrix = csr(self.by_output(mask).T)
        self.indices.assign(matrix.indices)
        self.indptr.assign(matrix.indptr)
        self.values.assign(self.by_output(kernel)[self.by_output(mask)])

    def spread(self, values):
        """Scatter a number for each active weight to its place in the kernel.

        Args:
            values: Tensor `(connections,)`.

        Returns:
            Tensor of the shape of the kernel, otherwise zero.
        """
        values = tf.convert_to_tensor(values)
        kernel = tf.scatter_nd(self.places(), values, self.matrix_shape)
        return tf.reshape(kernel, self.kernel_shape)

    def places(self):
        """Return inputs and outputs of weights, int32 `(connections, 2)`."""
        indices, indptr = map(tf.convert_to_tensor, self.structure)
        counts = indptr[1:] - indptr[:-1]
        outputs = tf.repeat(tf.range(self.matrix_shape[1]), counts)
        return tf.stack([indices, outputs], axis=-1)

    save_own_variables = keras.layers.Layer.save_own_variables

    def load_own_variables(self, store):
        """Load the variables, if they fit this kernel."""
        before = [*map(np.asarray, self.structure)]
        keras.layers.Layer.load_own_variables(self, store)
        # Products do not check these, and their shapes do not tell how many
        # inputs the saved layer had.
        indices, indptr = map(np.asarray, self.structure)
        inside = (0 <= indices) & (indices < self.matrix_shape[0])
        ends = [indptr[0], indptr[-1]] == [0, self.connections]
        if not (inside.all() and ends and (np.diff(indptr) >= 0).all()):
            for variable, value in zip(self.structure, before, strict=True):
                variable.assign(value)
            raise InputError(
                f"Layer {self.name!r} must be loaded with the connections of "
                f"a kernel of shape {self.kernel_shape}. Received: inputs up "
                f"to {indices.max()}, indptr from {indptr[0]} to {indptr[-1]}"
            )


def csr(mask: np.ndarray) -> scipy.sparse.csr_array:
    """Return a mask `(inputs, outputs)` as CSR with a row for each output."""
    matrix = scipy.sparse.csr_array(mask.T)
    matrix.indices = matrix.indices.astype("int32")
    matrix.indptr = matrix.indptr.astype("int32")
    return matrix


@contextlib.contextmanager
def opened(
    layers: Sequence[keras.layers.Layer],
) -> Iterator[dict[int, tf.Tensor]]:
    """Let layers multiply by whole kernels in functions traced inside.

    Args:
        layers: List of layers; only those of a `SparseKernel` change.

    Yields:
        Dict of the position of a layer in the list to its kernel, for
        gradients with respect to it.
    """
    kernels = {
        number: layer.kernel
        for number, layer in enumerate(layers)
        if isinstance(layer, SparseKernel)
    }
    with overridden(
        "opened", [(layers[number], kernels[number]) for number in kernels]
    ):
        yield kernels
