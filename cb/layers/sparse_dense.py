"""A densely connected layer that stores its active weights only."""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence

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
from cb.layers.saved_state import SavedStates
from cb.sparsity import masks

# Sums over single weights are the same without the zeros.
REGULARIZERS = (
    keras.regularizers.L1,
    keras.regularizers.L2,
    keras.regularizers.L1L2,
)


class DenseView:
    """Read-only view of a CSR kernel, or of its mask, as a dense variable.

    Args:
        layer: `SparseDense`.
        is_mask: Boolean, whether active entries read as 1.
    """

    dtype = "float32"

    def __init__(self, layer: "SparseDense", is_mask: bool):
        self._layer = layer
        self._is_mask = is_mask

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the kernel."""
        return self._layer.kernel_shape

    @property
    def value(self) -> tf.Tensor:
        """The current kernel or mask, computed on each access."""
        values = tf.convert_to_tensor(self._layer.values.value)
        if self._is_mask:
            values = tf.ones_like(values)
        return self._layer.spread(values)


@keras.saving.register_keras_serializable("cb")
class SparseDense(ComputedKernels, keras.layers.Dense):
    """`keras.layers.Dense` that stores and multiplies active weights only.

    A training step takes time and memory in proportion to the active
    weights: these are the variable `values`, so gradients, optimizer slots
    and updates have that size too. Their positions are in `indices` (the
    input of each) and `indptr` (the start of each output); change them with
    `fill` only, since products do not check them. Products run on the
    processor, in float32, compiled by Numba; XLA and second derivatives are
    not supported. The kernel's regularizer must be `L1`, `L2` or `L1L2`; it
    takes no constraint.

    Args:
        units: Integer, outputs.
        connections: Integer, number of active weights, which never changes.
        seed: Integer, seed of the initial positions.
        **kwargs: As in `keras.layers.Dense`.

    Input shape:
        Tensor `(batch, ..., inputs)`.

    Output shape:
        Tensor `(batch, ..., units)`.

    Raises:
        InputError: If an argument is wrong or Numba is not installed.
    """

    masked_weights = ("kernel",)
    fixed_connections = True
    dense_class = keras.layers.Dense
    added_arguments = ("connections", "seed")
    granularity = "weight"
    # Gradients reach inactive weights by a kernel that is multiplied instead
    # while a function is traced.
    straight_through = False
    opened: tf.Tensor | None = None

    def __init__(self, units: int, connections: int, seed: int = 0, **kwargs):
        super().__init__(units, **kwargs)
        require_numba()
        self.connections = connections
        self.seed = seed
        self.supports_jit = False
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

    def _refuse(self, name, expected, received):
        raise InputError(
            f"Argument `{name}` of a layer on CSR kernels must be {expected}. "
            f"Received: {name}={received!r} for layer {self.name!r}"
        )

    def build(self, input_shape):
        self.kernel_shape = (int(input_shape[-1]), self.units)
        size = self.kernel_shape[0] * self.units
        if self.connections > size:
            self._refuse("connections", f"at most {size}", self.connections)
        drawn = masks.choose(
            np.ones(self.kernel_shape, bool),
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
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(
            min_ndim=2, axes={-1: self.kernel_shape[0]}
        )
        vars(self)["reallocation_state"] = SavedStates()
        self.built = True

    def _initial_values(self, drawn):
        places = np.flatnonzero(drawn.T)

        def initializer(shape, dtype=None):
            del shape
            kernel = self.kernel_initializer(self.kernel_shape, dtype=dtype)
            return ops.take(ops.reshape(ops.transpose(kernel), (-1,)), places)

        return initializer

    def call(self, inputs, training=None):
        if self.opened is not None:
            x = ops.matmul(inputs, self.opened)
        else:
            x = self._multiplied(inputs)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return x if self.activation is None else self.activation(x)

    def _multiplied(self, inputs):
        from cb.kernels.csr_products import multiply

        x = multiply(
            ops.reshape(inputs, (-1, self.kernel_shape[0])),
            *map(tf.convert_to_tensor, (self.values, *self.structure)),
        )
        shape = ops.shape(inputs)
        return ops.reshape(x, (*shape[:-1], self.units))

    @property
    def structure(self):
        """The variables with the positions of the active weights."""
        return self.indices, self.indptr

    @property
    def kernel(self):
        """The whole kernel, zero where it is inactive."""
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
        self.fill(numpy_value(kernel), numpy_value(mask) != 0)

    def block(self, name):
        return (1, 1)

    def fill(self, kernel, mask):
        """Set the kernel and its mask, with as many active weights as before.

        Args:
            kernel: Float array `(inputs, units)`.
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
        matrix = csr(mask)
        self.indices.assign(matrix.indices)
        self.indptr.assign(matrix.indptr)
        self.values.assign(kernel.T[mask.T])

    def spread(self, values):
        """Scatter a number for each active weight to its place in the kernel.

        Args:
            values: Tensor `(connections,)`.

        Returns:
            Tensor of the shape of the kernel, otherwise zero.
        """
        values = tf.convert_to_tensor(values)
        return tf.scatter_nd(self.places(), values, self.kernel_shape)

    def places(self):
        """Return the positions of active weights, int32 `(connections, 2)`."""
        indices, indptr = map(tf.convert_to_tensor, self.structure)
        outputs = tf.repeat(tf.range(self.units), indptr[1:] - indptr[:-1])
        return tf.stack([indices, outputs], axis=-1)

    save_own_variables = keras.layers.Layer.save_own_variables

    def load_own_variables(self, store):
        """Load the variables, if they fit this kernel."""
        before = [*map(np.asarray, self.structure)]
        keras.layers.Layer.load_own_variables(self, store)
        # Products do not check these, and their shapes do not tell how many
        # inputs the saved layer had.
        indices, indptr = map(np.asarray, self.structure)
        inside = (0 <= indices) & (indices < self.kernel_shape[0])
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
        layers: List of layers; only `SparseDense` layers change.

    Yields:
        Dict of the position of a layer in the list to its kernel, for
        gradients with respect to it.
    """
    kernels = {
        number: layer.kernel
        for number, layer in enumerate(layers)
        if isinstance(layer, SparseDense)
    }
    with overridden(
        "opened", [(layers[number], kernels[number]) for number in kernels]
    ):
        yield kernels
