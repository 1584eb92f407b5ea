"""Product with a sparse matrix as a TensorFlow function."""

import tensorflow as tf

from cb.kernels.operations import run
from cb.kernels.threads import threads


def multiply(x, values, indices, starts, bias, rectified=False):
    """Multiply examples by a sparse matrix, on the processor.

    Time and memory of the forward and backward passes are proportional to the
    number of entries. Operations take examples as the last axis: where the
    output of one is the input of the next, TensorFlow removes both
    transpositions. Second derivatives are not supported.

    Args:
        x: float32 tensor `(examples, inputs)`.
        values: float32 tensor `(entries,)`.
        indices: int32 tensor `(entries,)`, the input of every entry.
        starts: int32 tensor `(outputs + 1,)`, where the entries of every
            output start.
        bias: float32 tensor `(outputs,)`, added to every example.
        rectified: Boolean, whether negative outputs become zero.

    Returns:
        float32 tensor `(examples, outputs)`.
    """
    # Operations that are registered while Python runs are for graphs only.
    function = _in_graph if tf.executing_eagerly() else _multiply
    y = function(x, values, indices, starts, bias, rectified)
    y.set_shape((x.shape[0], bias.shape[0]))
    return y


def _multiply(x, values, indices, starts, bias, rectified):
    @tf.custom_gradient
    def product(x, values, bias):
        settings = tf.constant([threads(), int(rectified)])
        given = [x, values, indices, starts, bias, settings]
        (y,) = run("CbCsrProduct", given)
        y.set_shape((bias.shape[0], x.shape[1]))

        def gradient(dy):
            if rectified:
                dy = tf.raw_ops.ReluGrad(gradients=dy, features=y)
            return _gradients(x, values, indices, starts, dy)

        return y, gradient

    x = tf.transpose(x, [1, 0])
    return tf.transpose(product(x, values, bias), [1, 0])


_in_graph = tf.function(_multiply, autograph=False, reduce_retracing=True)


def convolve(images, values, indices, starts, bias, settings, rectified=False):
    """Convolve images by a sparse kernel, on the processor.

    As `multiply`; operations take and return images with channels last.

    Args:
        images: float32 tensor `(examples, height, width, inputs)`.
        values: float32 tensor `(entries,)`.
        indices: int32 tensor `(entries,)`, the row, column and input of every
            entry in the kernel, as one number in that order.
        starts: int32 tensor `(outputs + 1,)`, where the entries of every
            output start.
        bias: float32 tensor `(outputs,)`.
        settings: Tuple of integers: height and width of the kernel, of its
            strides and of its dilation, and 1 for padding `"same"` or 0.
        rectified: Boolean, whether negative outputs become zero.

    Returns:
        float32 tensor `(examples, height, width, outputs)`.
    """
    function = _convolved if tf.executing_eagerly() else _convolve
    settings = tf.constant([threads(), int(rectified), *settings])
    return function(images, values, indices, starts, bias, settings, rectified)


def _convolve(images, values, indices, starts, bias, settings, rectified):
    @tf.custom_gradient
    def product(images, values, bias):
        given = [images, values, indices, starts, bias, settings]
        (y,) = run("CbCsrConvolution", given)

        def gradient(dy):
            if rectified:
                dy = tf.raw_ops.ReluGrad(gradients=dy, features=y)
            return differentiated(dy, images, values)

        return y, gradient

    @tf.custom_gradient
    def differentiated(dy, images, values):
        given = [dy, images, values, indices, starts, settings]
        found = run("CbCsrConvolutionGradients", given)
        for gradient, of in zip(found, (images, values, bias), strict=True):
            gradient.set_shape(of.shape)
        return tuple(found), _refuse

    return product(images, values, bias)


_convolved = tf.function(_convolve, autograph=False, reduce_retracing=True)


@tf.custom_gradient
def _gradients(x, values, indices, starts, dy):
    settings = tf.stack([threads(), tf.shape(x)[0]])
    given = [dy, values, indices, starts, settings]
    (dx,) = run("CbCsrInputGradients", given)
    given = [dy, x, indices, starts, settings[:1]]
    dvalues, dbias = run("CbCsrValueGradients", given)
    dx.set_shape(x.shape)
    dvalues.set_shape(values.shape)
    dbias.set_shape(dy.shape[:1])

    return (dx, dvalues, dbias), _refuse


def _refuse(*gradients):
    # TensorFlow would treat them as constants.
    raise NotImplementedError(
        "Products on CSR kernels have no second derivatives. Train masked "
        "layers instead."
    )
