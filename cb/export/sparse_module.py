"""TensorFlow modules that store only the nonzeros of a model."""

import contextlib
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import scipy.sparse
import tensorflow as tf
from keras.src.backend import get_keras_mask
from keras.src.backend import set_keras_mask

from cb.distribute.variables import read
from cb.export.graph import Call
from cb.export.graph import Graph
from cb.export.graph import Value
from cb.export.graph import changes_nothing
from cb.export.products import DENSEST
from cb.export.products import Product
from cb.export.program import Segment
from cb.export.stored_matrix import CsrMatrix
from cb.export.stored_matrix import DenseMatrix
from cb.export.stored_matrix import StoredMatrix

# Activations that map 1 to 1, so that the row of ones survives them.
_FIXING_ONE = (keras.activations.linear, keras.activations.relu)


class SparseGraph:
    """Computes a graph in TensorFlow, its sparse layers as CSR products.

    Between sparse layers examples are columns. A row of ones below them
    multiplies the biases; the last row of each matrix preserves it.

    Args:
        graph: `Graph`.
        products: Dict of a call to its `Product`; all are stored sparse.
        dense: Calls among them that are multiplied as dense matrices.

    Attributes:
        module: `tf.Module` that tracks everything the functions use.
    """

    def __init__(
        self,
        graph: Graph,
        products: dict[Call, Product],
        dense: Sequence[Call] = (),
    ):
        self.module = tf.Module()
        self._products: dict[Call, tuple[Product, Any]] = {}
        for call, item in products.items():
            stored = StoredMatrix(extended(item, keeper=call not in dense))
            self._products[call] = (
                item,
                (
                    DenseMatrix(stored, stored.shape[::-1])
                    if call in dense
                    else CsrMatrix(stored)
                ),
            )
        self._kernels = self._pack(graph, products)
        matrices = [matrix for _, matrix in self._products.values()]
        kernels = [*self._kernels.values()]
        self.module.matrices = [matrix.stored for matrix in matrices]
        self.module.packed = [kernel.stored for kernel in kernels]
        self.module.unpacked = [*matrices, *kernels]
        self.module.variables_used = []

    def _pack(self, graph, products) -> dict[int, DenseMatrix]:
        """Store the sparse kernels of other layers as nonzeros too."""
        found: dict[int, DenseMatrix] = {}
        for call in graph.calls:
            layer = call.operation
            if call in products or not isinstance(layer, keras.layers.Layer):
                continue
            for variable in layer.variables:
                matrix = _packable(variable)
                if matrix is not None and id(variable) not in found:
                    stored = StoredMatrix(matrix)
                    shape = tuple(variable.shape)
                    found[id(variable)] = DenseMatrix(stored, shape)
        return found

    def function(
        self, calls: Sequence[Call], sources: Any, results: Any
    ) -> tf.types.experimental.ConcreteFunction:
        """Make a function of some of the calls, and track its variables.

        Args:
            calls: Sequence of calls, in order.
            sources: Dict of name to `Value`, the inputs. Names are those of
                Python arguments.
            results: Structure of `Value`, the outputs.

        Returns:
            A concrete function from tensors by name.
        """

        def run(**tensors):
            rows = {sources[name]: tensor for name, tensor in tensors.items()}
            columns: dict[Value, _Columns] = {}
            for call in calls:
                if call in self._products:
                    self._multiply(call, rows, columns)
                else:
                    self._apply(call, rows, columns)
            return keras.tree.map_structure(lambda v: rows[v], results)

        specs = {
            name: tf.TensorSpec(value.shape, value.dtype, name)
            for name, value in sources.items()
        }
        function = tf.function(run, autograph=False)
        concrete = function.get_concrete_function(**specs)
        self.module.variables_used.extend(concrete.variables)
        return concrete

    def add_segment(
        self, index: int, segment: Segment, numbers: Sequence[int]
    ) -> None:
        """Add a function `segment_{index}` to the module.

        Args:
            index: Integer.
            segment: `Segment`.
            numbers: Integers, those of its sources in the names of arguments.
        """
        names = [f"x{number}" for number in numbers]
        sources = dict(zip(names, segment.sources, strict=True))
        function = self.function(segment.calls, sources, segment.results)
        setattr(self.module, f"segment_{index}", function)

    def _multiply(self, call, rows, columns) -> None:
        (source,), (result,) = call.sources, call.results
        item, matrix = self._products[call]
        outputs, inputs = item.matrix.shape
        # As layers do with inputs in half precision.
        x = tf.cast(rows[source], "float32")
        if isinstance(matrix, DenseMatrix):
            lead = tf.shape(x)[:-1]
            kernel = matrix.read()
            flat = tf.reshape(x, (-1, inputs))
            flat = tf.matmul(flat, kernel[:inputs])
            flat = item.activation(flat + kernel[inputs])
        else:
            if source not in columns:
                columns[source] = _columns(x, inputs)
            # Of the columns, so that rows need not be made between layers.
            lead = columns[source].lead
            product = matrix.product(columns[source].tensor)
            if item.activation in _FIXING_ONE:
                product = item.activation(product)
                columns[result] = _Columns(product, lead)
                flat = tf.transpose(product[:outputs])
            else:
                flat = item.activation(tf.transpose(product[:outputs]))
        shape = tf.concat([lead, [outputs]], axis=0)
        rows[result] = tf.ensure_shape(tf.reshape(flat, shape), result.shape)
        if source.masked:
            set_keras_mask(rows[result], get_keras_mask(rows[source]))

    def _apply(self, call, rows, columns) -> None:
        def tensor(leaf):
            return rows[leaf] if isinstance(leaf, Value) else leaf

        kernels = [
            (variable, self._kernels[id(variable)].read())
            for variable in getattr(call.operation, "variables", ())
            if id(variable) in self._kernels
        ]
        # In a scope states of random generators would stay what they are.
        scope: Any = contextlib.nullcontext()
        if kernels:
            scope = keras.StatelessScope(kernels)
        args, kwargs = keras.tree.map_structure(
            tensor, (call.args, call.kwargs)
        )
        if isinstance(call.operation, keras.layers.Layer):
            # Whatever the layer's default, or the argument of the call, is.
            kwargs["training"] = False
        with scope:
            outputs = call.operation(*args, **kwargs)
        tensors = keras.tree.flatten(outputs)
        rows.update(zip(call.results, tensors, strict=True))
        if changes_nothing(call) and call.sources[0] in columns:
            columns[call.results[0]] = columns[call.sources[0]]


def extended(item: Product, keeper: bool) -> scipy.sparse.csr_array:
    """Return the matrix of a product with its bias and a row that keeps 1."""
    inputs = item.matrix.shape[1]
    bias = scipy.sparse.csr_array(item.bias[:, None])
    found = scipy.sparse.hstack([item.matrix, bias])
    if keeper:
        one = (np.ones(1, "float32"), ([0], [inputs]))
        row = scipy.sparse.csr_array(one, shape=(1, inputs + 1))
        found = scipy.sparse.vstack([found, row])
    found = scipy.sparse.csr_array(found).astype("float32")
    found.sort_indices()
    return found


def parted(
    matrix: scipy.sparse.csr_array, outputs: int
) -> tuple[scipy.sparse.csr_array, np.ndarray]:
    """Split the result of `extended` into a matrix and its bias."""
    body = matrix[:outputs]
    return body[:, :-1], body[:, [-1]].toarray().reshape(-1)


class _Columns(NamedTuple):
    """Examples as columns.

    Attributes:
        tensor: `(features + 1, examples)`, the last row ones.
        lead: Integer tensor, the shape of the examples.
    """

    tensor: tf.Tensor
    lead: tf.Tensor


def _columns(rows: tf.Tensor, features: int) -> _Columns:
    flat = tf.transpose(tf.reshape(rows, (-1, features)))
    ones = tf.pad(flat, [[0, 1], [0, 0]], constant_values=1.0)
    return _Columns(ones, tf.shape(rows)[:-1])


def _packable(variable) -> scipy.sparse.csr_array | None:
    """Return a kernel as a sparse matrix with its filters as rows."""
    if len(variable.shape) < 2 or variable.dtype != "float32":
        return None
    value = read(variable)
    if np.count_nonzero(value) > DENSEST * value.size:
        return None
    return scipy.sparse.csr_array(value.reshape(-1, value.shape[-1]).T)
