"""Sparse matrices in a SavedModel: stored compactly, unpacked on loading."""

import hashlib

import numpy as np
import scipy.sparse
import tensorflow as tf
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework import ops
from tensorflow.python.ops.linalg.sparse import sparse_csr_matrix_ops

# TensorFlow's CSR product in oneDNN. It replaces eager products; in a graph,
# where it does not, the plain product is several times slower.
_FAST = "_MklNativeSparseMatrixMatMul"


class StoredMatrix(tf.Module):
    """Nonzeros of a matrix as variables, with the shortest possible indices.

    Args:
        matrix: `scipy.sparse.csr_array` in float32.
    """

    def __init__(self, matrix: scipy.sparse.csr_array):
        super().__init__()
        counts = np.diff(matrix.indptr)
        self.values = _constant(matrix.data)
        self.indices = _constant(_short(matrix.indices, matrix.shape[1]))
        self.counts = _constant(_short(counts, matrix.shape[1] + 1))
        self.columns = _constant(np.int32(matrix.shape[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return int(self.counts.shape[0]), int(self.columns.numpy())

    def digest(self) -> str:
        """Return a name made from the content of the matrix."""
        found = hashlib.sha256()
        for variable in (self.values, self.indices, self.counts, self.columns):
            found.update(variable.numpy().tobytes())
        return found.hexdigest()[:24]


def read_matrix(stored) -> scipy.sparse.csr_array:
    """Return the matrix of a `StoredMatrix`, loaded or not."""
    counts = stored.counts.numpy().astype("int64")
    starts = np.concatenate([[0], np.cumsum(counts)])
    return scipy.sparse.csr_array(
        (stored.values.numpy(), stored.indices.numpy().astype("int32"), starts),
        shape=(len(counts), int(stored.columns.numpy())),
    )


def _constant(value) -> tf.Variable:
    return tf.Variable(value, trainable=False)


def _short(numbers, bound) -> np.ndarray:
    return numbers.astype("uint16" if bound <= 2**16 else "int32")


class _Unpacked(tf.saved_model.experimental.TrackableResource):
    """A stored matrix after its SavedModel is loaded.

    It has a name made from its content, so that equal matrices share memory
    and others never collide. Without a name, each function of a server that
    runs functions one by one would have its own. The price is that a process
    keeps every matrix that it has loaded.
    """

    kind = ""

    def __init__(self, stored: StoredMatrix):
        super().__init__()
        self.stored = stored
        self.shape = stored.shape
        self.name = f"cb/{self.kind}/{stored.digest()}"
        # The base class creates the resource when this property is read.
        if self.resource_handle is not None:
            self._initialize()

    def _positions(self):
        counts = tf.cast(self.stored.counts, tf.int64)
        rows = tf.repeat(tf.range(self.shape[0], dtype=tf.int64), counts)
        columns = tf.cast(self.stored.indices, tf.int64)
        return tf.stack([rows, columns], axis=1)


class CsrMatrix(_Unpacked):
    """A matrix as TensorFlow's CSR variant."""

    kind = "csr"

    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(
            dtype=tf.variant, shape=[], shared_name=self.name
        )

    def _initialize(self):
        matrix = self._matrix(self._positions(), self.stored.values)
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=matrix)

    def _matrix(self, positions, values):
        return sparse_csr_matrix_ops.sparse_tensor_to_csr_sparse_matrix(
            positions, values, tf.constant(self.shape, tf.int64)
        )

    def product(self, columns: tf.Tensor) -> tf.Tensor:
        """Return the product with a dense matrix; only in a graph."""
        matrix = tf.raw_ops.ReadVariableOp(
            resource=self.resource_handle, dtype=tf.variant
        )
        # A variant in a variable has no known type, and a graph whose products
        # lack it cannot be loaded. Stacking it with a matrix of known type
        # and slicing it out again gives it one.
        empty = self._matrix(tf.zeros((0, 2), tf.int64), tf.zeros((0,)))
        matrix = tf.stack([empty, matrix])[1]
        if op_def_registry.get(_FAST) is None:
            return sparse_csr_matrix_ops.sparse_matrix_mat_mul(matrix, columns)
        attributes = {
            "T": tf.compat.v1.AttrValue(type=tf.float32.as_datatype_enum),
            "_kernel": tf.compat.v1.AttrValue(s=b"MklNameChangeOp"),
        }
        operation = ops.get_default_graph().create_op(
            _FAST,
            [matrix, columns],
            [tf.float32],
            name="product",
            attrs=attributes,
        )
        (result,) = operation.outputs
        result.set_shape((self.shape[0], columns.shape[1]))
        return result


class DenseMatrix(_Unpacked):
    """The transpose of a matrix in dense form.

    Args:
        stored: `StoredMatrix`.
        shape: Tuple, the shape that it is given.
    """

    def __init__(self, stored: StoredMatrix, shape: tuple[int, ...]):
        self.shape_out = tuple(shape)
        self.kind = "x".join(["dense", *map(str, shape)])
        super().__init__(stored)

    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(
            dtype=tf.float32, shape=self.shape_out, shared_name=self.name
        )

    def _initialize(self):
        matrix = tf.scatter_nd(
            self._positions(), self.stored.values, self.shape
        )
        value = tf.reshape(tf.transpose(matrix), self.shape_out)
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=value)

    def read(self) -> tf.Tensor:
        """Return the tensor."""
        value = tf.raw_ops.ReadVariableOp(
            resource=self.resource_handle, dtype=tf.float32
        )
        return tf.ensure_shape(value, self.shape_out)
