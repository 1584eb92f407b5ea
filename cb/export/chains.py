"""Chains of sparse layers, run on the processor outside of a graph."""

import threading
from collections.abc import Callable
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
import tensorflow as tf
from tensorflow.python.ops.linalg.sparse import sparse_csr_matrix_ops

from cb.kernels.threads import require_numba
from cb.kernels.threads import share
from cb.kernels.tiles import aligned
from cb.kernels.tiles import shares
from cb.kernels.tiles import tile_size

# Number of examples up to which one by one is faster than a partly filled tile.
FEW = 2
_ACTIVATIONS: dict[str, Callable] = {
    "linear": tf.identity,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "sigmoid": tf.math.sigmoid,
    "tanh": tf.math.tanh,
}
# The call that every way of running a chain provides.
ACTIVATIONS = tuple(_ACTIVATIONS)


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


class CompiledChain:
    """Runs layers with fused kernels compiled by Numba.

    Each tile of examples goes through all layers while it is in the cache.
    Several tiles are divided among threads.

    Args:
        layers: List of `Layer`.

    Raises:
        InputError: If Numba is not installed.
    """

    def __init__(self, layers: Sequence[Layer]):
        require_numba()
        from cb.kernels import compiled

        self._compiled = compiled
        matrices = [layer.matrix for layer in layers]
        lengths = np.concatenate([np.diff(m.indptr) for m in matrices])
        widths = [matrices[0].shape[1], *(m.shape[0] for m in matrices)]
        codes = [compiled.ACTIVATIONS.index(item.activation) for item in layers]
        self._widths = np.array(widths, "int32")
        # Short indices halve the bytes that a product of few examples reads.
        index = "uint16" if max(widths) <= 2**16 else "uint32"
        self._arguments = (
            self._widths,
            np.array(codes, "int32"),
            np.concatenate([[0], np.cumsum(lengths)]).astype("uint64"),
            np.concatenate([m.indices for m in matrices]).astype(index),
            np.concatenate([m.data for m in matrices]).astype("float32"),
            np.concatenate([layer.bias for layer in layers]).astype("float32"),
        )
        self._scratch: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the chain.

        Args:
            x: Float array `(examples, inputs)`.

        Returns:
            Float array `(examples, outputs)`.
        """
        x = np.ascontiguousarray(x, "float32")
        y = np.empty((len(x), self._widths[-1]), "float32")
        with self._lock:
            if len(x) <= FEW:
                scratch = self._memory(1, 1)[0]
                self._compiled.run_rows(x, y, scratch, *self._arguments)
            else:
                self._share(x, y)
        return y

    def _share(self, x, y) -> None:
        tile = tile_size(len(x))
        edges = [n * tile for n in shares(-(-len(x) // tile))]
        run = self._compiled.RUN_TILES[tile]
        memory = self._memory(tile, len(edges) - 1)

        def work(number):
            part = slice(edges[number], edges[number + 1])
            run(x[part], y[part], memory[number], *self._arguments)

        share(work, len(edges) - 1)

    def _memory(self, tile, number) -> np.ndarray:
        memory = self._scratch.get(tile)
        if memory is None or len(memory) < number:
            memory = aligned((number, 2, int(self._widths.max()), tile))
            # Unused columns of a tile are computed too, and denormal numbers
            # would be slow.
            memory.fill(0)
            self._scratch[tile] = memory
        return memory


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
        """Run the chain; arguments as in `CompiledChain`."""
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
        self._run = tf.function(
            run, input_signature=[tf.TensorSpec((None, inputs))]
        )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the chain; arguments as in `CompiledChain`."""
        return self._run(x).numpy()


def _tensorflow_matrix(matrix: scipy.sparse.csr_array) -> tf.Tensor:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return sparse_csr_matrix_ops.sparse_tensor_to_csr_sparse_matrix(
        np.stack([rows, matrix.indices], axis=1).astype("int64"),
        matrix.data,
        np.array(matrix.shape, "int64"),
    )
