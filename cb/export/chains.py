"""Chains of sparse layers, run on the processor outside of a graph."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
import scipy.sparse
import tensorflow as tf
from tensorflow.python.ops.linalg.sparse import sparse_csr_matrix_ops

from cb.engine import Node
from cb.engine import connect
from cb.engine.fusion import PLAIN
from cb.kernels.threads import require_numba
from cb.layers.functions import own_function

_ACTIVATIONS: dict[str, Callable] = {
    "linear": tf.identity,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "sigmoid": tf.math.sigmoid,
    "tanh": tf.math.tanh,
}
# The call that every way of running a chain provides.
ACTIVATIONS = tuple(_ACTIVATIONS)
# The same in the engine, where they are not just a name.
_OPTIONS: dict[str, dict[str, Any]] = {
    name: {"function": "relu", "slope": 0.0, "threshold": 0.0, "limit": limit}
    for name, limit in (("relu", None), ("relu6", 6.0))
}


class Layer(NamedTuple):
    """A sparse layer.

    Attributes:
        matrix: `scipy.sparse.csr_array` `(outputs, inputs)`.
        bias: Float array `(outputs,)`.
        activation: String, one of `ACTIVATIONS`.
    """

    matrix: scipy.sparse.csr_array
    bias: np.ndarray
    activation: str


def compiled_chain(layers: Sequence[Layer]) -> Any:
    """Make a network of the engine of layers.

    What is not finite is passed on, as TensorFlow does.

    Args:
        layers: List of `Layer`.

    Returns:
        `cb.engine.Network`, from an array `(examples, inputs)` to
        `(examples, outputs)`.

    Raises:
        InputError: If Numba is not installed.
    """
    require_numba()
    from cb.engine import Network

    nodes: list[Node] = []
    for layer in layers:
        kernel = layer.matrix.toarray().T[None, None].astype("float32")
        arrays = {"kernel": kernel, "bias": layer.bias.astype("float32")}
        name = layer.activation
        for kind, options, own in (
            ("convolution", PLAIN, arrays),
            ("activation", _OPTIONS.get(name, {"function": name}), {}),
        ):
            if kind == "convolution" or name != "linear":
                number = len(nodes)
                node = Node(kind, kind, (number,), number + 1, options, own)
                nodes.append(node)
    sides = layers[0].matrix.shape[1], layers[-1].matrix.shape[0]
    graph = connect({0: (1, 1, sides[0])}, [len(nodes)], nodes)
    inputs, outputs = ({"x": (side,)} for side in sides)
    return Network(graph, inputs, outputs, finite=False)


class EagerChain:
    """Runs layers with TensorFlow's eager CSR product.

    Args:
        layers: List of `Layer`.
    """

    def __init__(self, layers: Sequence[Layer]):
        self._layers = [
            (
                _tensorflow_matrix(layer.matrix),
                tf.constant(layer.bias[:, None]),
                _ACTIVATIONS[layer.activation],
            )
            for layer in layers
        ]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the chain.

        Args:
            x: Float array `(examples, inputs)`.

        Returns:
            Float array `(examples, outputs)`.
        """
        columns = tf.transpose(tf.convert_to_tensor(x))
        for matrix, bias, activation in self._layers:
            columns = sparse_csr_matrix_ops.sparse_matrix_mat_mul(
                matrix, columns
            )
            columns = activation(columns + bias)
        return tf.transpose(columns).numpy()


class DenseChain:
    """Runs layers as dense products in one TensorFlow graph.

    Args:
        layers: List of `Layer`.
    """

    def __init__(self, layers: Sequence[Layer]):
        constants = [
            (
                tf.constant(layer.matrix.toarray().T),
                tf.constant(layer.bias),
                _ACTIVATIONS[layer.activation],
            )
            for layer in layers
        ]

        def run(x):
            for kernel, bias, activation in constants:
                x = activation(tf.matmul(x, kernel) + bias)
            return x

        inputs = layers[0].matrix.shape[1]
        self._run = own_function(
            run, input_signature=[tf.TensorSpec((None, inputs))]
        )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the chain; arguments as in `EagerChain`."""
        return self._run(x).numpy()


def _tensorflow_matrix(matrix: scipy.sparse.csr_array) -> tf.Tensor:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return sparse_csr_matrix_ops.sparse_tensor_to_csr_sparse_matrix(
        np.stack([rows, matrix.indices], axis=1).astype("int64"),
        matrix.data,
        np.array(matrix.shape, "int64"),
    )
