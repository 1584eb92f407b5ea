"""Layers of a model that are products with a matrix."""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import scipy.sparse

from cb.export.graph import Call

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
# Density from which a list of the nonzeros is as large as the dense matrix.
DENSEST = 0.5
# Kernels of so few weights may be denser: interrupting a chain of sparse layers
# for one of them costs more.
SMALL = 2**15


class Product(NamedTuple):
    """A layer that multiplies every position by one matrix.

    Attributes:
        matrix: `scipy.sparse.csr_array` `(outputs, inputs)`.
        bias: Float array `(outputs,)`.
        activation: Keras activation.
    """

    matrix: scipy.sparse.csr_array
    bias: np.ndarray
    activation: Any


def product(call: Call) -> Product | None:
    """Return the sparse product that a call computes, or `None`.

    Args:
        call: `Call` of any operation.

    Returns:
        `Product` of a `Dense` layer or of a convolution with a kernel of a
        single position, if it is in float32 and small or at least half
        zeros.
    """
    layer = call.operation
    if not (type(layer) is keras.layers.Dense or _pointwise(layer)):
        return None
    changed = layer.quantization_mode or layer.lora_enabled
    if call.shared or changed or layer.compute_dtype != "float32":
        return None
    kernel = np.asarray(layer.kernel)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    dense = np.count_nonzero(kernel) > DENSEST * kernel.size
    if dense and kernel.size > SMALL:
        return None
    bias = np.zeros(kernel.shape[-1], "float32")
    if layer.use_bias:
        bias = np.asarray(layer.bias)
    matrix = scipy.sparse.csr_array(np.ascontiguousarray(kernel.T))
    return Product(matrix, bias, layer.activation)


def _pointwise(layer) -> bool:
    if type(layer) not in _CONVOLUTIONS:
        return False
    if layer.data_format != "channels_last" or layer.groups != 1:
        return False
    return {*layer.kernel_size, *layer.strides} == {1}
