"""Layers that store their active weights only."""

import math

import keras
from keras import ops

from cb.layers.sparse_kernel import SparseKernel

register = keras.saving.register_keras_serializable("cb")


@register
class SparseDense(SparseKernel, keras.layers.Dense):
    """`keras.layers.Dense` that stores and multiplies active weights only.

    Time and memory are as in `SparseKernel`.

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

    dense_class = keras.layers.Dense

    def __init__(self, units: int, connections: int, seed: int = 0, **kwargs):
        super().__init__(units, connections=connections, seed=seed, **kwargs)

    def weight_shapes(self, input_shape):
        bias_shape = (self.units,) if self.use_bias else None
        return (int(input_shape[-1]), self.units), bias_shape


@register
class SparseEinsumDense(SparseKernel, keras.layers.EinsumDense):
    """`keras.layers.EinsumDense` that stores active weights only.

    The equation must be a product of the last axes of the inputs and the
    first of the kernel, such as `"abc,cde->abde"`, and a bias must be of
    outputs. Arguments are those of `keras.layers.EinsumDense`, with
    `connections` and `seed` as in `SparseKernel`.

    Raises:
        InputError: If an argument is wrong or Numba is not installed.
    """

    dense_class = keras.layers.EinsumDense

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        inputs, _, outputs = _axes(self.equation)
        self.input_axes, self.output_axes = len(inputs), len(outputs)

    @classmethod
    def unable(cls, layer):
        inputs, examples, outputs = _axes(layer.equation)
        biased = set(layer.bias_axes or "")
        if inputs and examples and outputs and biased <= {*outputs}:
            return ""
        return f"equation {layer.equation!r}, bias {layer.bias_axes!r}"

    def weight_shapes(self, input_shape):
        outputs = self.partial_output_shape
        outputs = (outputs,) if isinstance(outputs, int) else tuple(outputs)
        outputs = outputs[-self.output_axes :]
        inputs = tuple(input_shape[-self.input_axes :])
        examples = tuple(input_shape[: -self.input_axes])
        self.full_output_shape = (*examples, *outputs)
        if not self.bias_axes:
            return (*inputs, *outputs), None
        names = _axes(self.equation)[2]
        first = min(names.index(axis) for axis in self.bias_axes)
        bias = [
            size if name in self.bias_axes else 1
            for name, size in zip(names, outputs, strict=True)
        ]
        return (*inputs, *outputs), tuple(bias[first:])


def _axes(equation: str) -> tuple[str, str, str]:
    """Return the axes of inputs, examples and outputs of a product.

    One is empty if the equation is not a product of the last axes of the
    inputs and the first of the kernel.
    """
    equation = equation.replace(" ", "").replace("...", ".")
    left, result = equation.split("->")
    inputs, kernel = left.split(",")
    shared = "".join(axis for axis in kernel if axis in inputs)
    examples, outputs = inputs.removesuffix(shared), kernel[len(shared) :]
    if [inputs, kernel, result] != [
        examples + shared,
        shared + outputs,
        examples + outputs,
    ] or set(examples) & {*shared, *outputs}:
        return "", "", ""
    return shared, examples, outputs


class _SparseConv(SparseKernel):
    """Mixin: a convolution."""

    @classmethod
    def unable(cls, layer):
        if layer.groups > 1:
            return f"{layer.groups} groups"
        if layer.data_format != "channels_last":
            return f"data format {layer.data_format!r}"
        return ""

    def weight_shapes(self, input_shape):
        inputs = int(input_shape[-1])
        bias_shape = (self.filters,) if self.use_bias else None
        return (*self.kernel_size, inputs, self.filters), bias_shape


class _SparsePointwise(_SparseConv):
    """Mixin: a convolution with a kernel of one position."""

    @classmethod
    def unable(cls, layer):
        if math.prod(layer.kernel_size) > 1:
            size = " x ".join(map(str, layer.kernel_size))
            return f"a kernel of {size} positions"
        return super().unable(layer)

    def call(self, inputs, training=None):
        strides = (slice(None, None, stride) for stride in self.strides)
        return super().call(inputs[(slice(None), *strides)], training)


@register
class SparseConv1D(_SparsePointwise, keras.layers.Conv1D):
    """`keras.layers.Conv1D` of size 1 that stores active weights only.

    Arguments are those of `keras.layers.Conv1D`, with `connections` and
    `seed` as in `SparseKernel`.
    """

    dense_class = keras.layers.Conv1D


@register
class SparseConv2D(_SparseConv, keras.layers.Conv2D):
    """`keras.layers.Conv2D` that stores and multiplies active weights only.

    Arguments are those of `keras.layers.Conv2D`, with `connections` and
    `seed` as in `SparseKernel`. Groups must be 1 and channels last.
    """

    dense_class = keras.layers.Conv2D

    @classmethod
    def limits(cls, layer):
        # Dense kernels of one position are products of matrices, and fast.
        return 0.1 if math.prod(layer.kernel_size) == 1 else 0.35, 4_000

    def product(self, inputs, bias, rectified):
        from cb.kernels.csr_products import convolve

        sizes = *self.kernel_size, *self.strides, *self.dilation_rate
        same = int(self.padding == "same")
        x = convolve(inputs, *self._matrix(), bias, (*sizes, same), rectified)
        x.set_shape(self.compute_output_shape(inputs.shape))
        return x

    def whole_product(self, inputs, kernel):
        return ops.conv(
            inputs,
            kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )


@register
class SparseConv3D(_SparsePointwise, keras.layers.Conv3D):
    """`keras.layers.Conv3D` of size 1 that stores active weights only.

    Arguments are those of `keras.layers.Conv3D`, with `connections` and
    `seed` as in `SparseKernel`.
    """

    dense_class = keras.layers.Conv3D


SPARSE_CLASSES = {
    kind.dense_class: kind
    for kind in (
        SparseDense,
        SparseEinsumDense,
        SparseConv1D,
        SparseConv2D,
        SparseConv3D,
    )
}
