"""Convolutions with a masked kernel."""

import keras

from cb.layers.masked import Masked


@keras.saving.register_keras_serializable("cb")
class MaskedConv1D(Masked, keras.layers.Conv1D):
    """`keras.layers.Conv1D` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv1D`. The mask has the
    shape of the kernel, `(kernel_size, inputs, filters)`.
    """


@keras.saving.register_keras_serializable("cb")
class MaskedConv2D(Masked, keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv2D`. The mask has the
    shape of the kernel, `(height, width, inputs, filters)`.
    """


@keras.saving.register_keras_serializable("cb")
class MaskedConv3D(Masked, keras.layers.Conv3D):
    """`keras.layers.Conv3D` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv3D`. The mask has the
    shape of the kernel, `(depth, height, width, inputs, filters)`.
    """


@keras.saving.register_keras_serializable("cb")
class MaskedDepthwiseConv2D(Masked, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.DepthwiseConv2D`. The mask has the
    shape of the kernel, `(height, width, inputs, multiplier)`.
    """


@keras.saving.register_keras_serializable("cb")
class MaskedConv2DTranspose(Masked, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Conv2DTranspose`. The mask has the
    shape of the kernel, `(height, width, filters, inputs)`.
    """
