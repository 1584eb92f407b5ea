"""Convolutions with a masked kernel."""

import keras

from cb.layers.masked import Masked
from cb.layers.registration import register_masked


@register_masked(keras.layers.Conv1D, family="conv")
class MaskedConv1D(Masked, keras.layers.Conv1D):
    """`keras.layers.Conv1D` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv1D`. The mask has the
    shape of the kernel, `(kernel_size, inputs, filters)`.
    """

    spatial_axes = {"kernel": 1}


@register_masked(keras.layers.Conv2D, family="conv")
class MaskedConv2D(Masked, keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv2D`. The mask has the
    shape of the kernel, `(height, width, inputs, filters)`.
    """

    spatial_axes = {"kernel": 2}


@register_masked(keras.layers.Conv3D, family="conv")
class MaskedConv3D(Masked, keras.layers.Conv3D):
    """`keras.layers.Conv3D` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv3D`. The mask has the
    shape of the kernel, `(depth, height, width, inputs, filters)`.
    """

    spatial_axes = {"kernel": 3}


@register_masked(keras.layers.DepthwiseConv1D, family=("conv", "depthwise"))
class MaskedDepthwiseConv1D(Masked, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.DepthwiseConv1D`. The mask has the
    shape of the kernel, `(kernel_size, inputs, multiplier)`.
    """

    spatial_axes = {"kernel": 1}
    filter_axes = (-2, -1)


@register_masked(keras.layers.DepthwiseConv2D, family=("conv", "depthwise"))
class MaskedDepthwiseConv2D(Masked, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.DepthwiseConv2D`. The mask has the
    shape of the kernel, `(height, width, inputs, multiplier)`.
    """

    spatial_axes = {"kernel": 2}
    filter_axes = (-2, -1)


@register_masked(keras.layers.Conv1DTranspose, family="conv")
class MaskedConv1DTranspose(Masked, keras.layers.Conv1DTranspose):
    """`keras.layers.Conv1DTranspose` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv1DTranspose`. The mask has the
    shape of the kernel, `(kernel_size, filters, inputs)`.
    """

    spatial_axes = {"kernel": 1}
    filter_axes = (-2,)


@register_masked(keras.layers.Conv2DTranspose, family="conv")
class MaskedConv2DTranspose(Masked, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv2DTranspose`. The mask has the
    shape of the kernel, `(height, width, filters, inputs)`.
    """

    spatial_axes = {"kernel": 2}
    filter_axes = (-2,)


@register_masked(keras.layers.Conv3DTranspose, family="conv")
class MaskedConv3DTranspose(Masked, keras.layers.Conv3DTranspose):
    """`keras.layers.Conv3DTranspose` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv3DTranspose`. The mask has the
    shape of the kernel, `(depth, height, width, filters, inputs)`.
    """

    spatial_axes = {"kernel": 3}
    filter_axes = (-2,)


class _MaskedSeparable(Masked):
    masked_weights = ("depthwise_kernel", "pointwise_kernel")


@register_masked(keras.layers.SeparableConv1D, family="conv")
class MaskedSeparableConv1D(_MaskedSeparable, keras.layers.SeparableConv1D):
    """`keras.layers.SeparableConv1D` whose two kernels are masked.

    Takes the arguments of `keras.layers.SeparableConv1D`. The masks are
    `depthwise_mask` and `pointwise_mask`.
    """

    spatial_axes = {"depthwise_kernel": 1, "pointwise_kernel": 1}


@register_masked(keras.layers.SeparableConv2D, family="conv")
class MaskedSeparableConv2D(_MaskedSeparable, keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D` whose two kernels are masked.

    Takes the arguments of `keras.layers.SeparableConv2D`. The masks are
    `depthwise_mask` and `pointwise_mask`.
    """

    spatial_axes = {"depthwise_kernel": 2, "pointwise_kernel": 2}
