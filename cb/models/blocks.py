"""Building blocks of the published networks, as functions of tensors.

The sources' frameworks pad symmetrically. Where a stride needs an odd number of
zeros, Keras puts the additional one at the end; so strided layers have padding
layers of their own.
"""

from typing import Literal

import keras

from cb.errors import InputError
from cb.registry import Count

Shape = tuple[Count, ...]
Gamma = Literal["ones", "uniform"]
TORCH_BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


def fan_out_normal():
    """Return He initialization by outgoing connections, not truncated."""
    return keras.initializers.VarianceScaling(
        2.0, "fan_out", "untruncated_normal"
    )


def fan_in_normal():
    """Return He initialization by incoming connections, not truncated."""
    return keras.initializers.VarianceScaling(
        2.0, "fan_in", "untruncated_normal"
    )


def torch_uniform():
    """Return the uniform distribution up to `1 / sqrt(incoming)`."""
    return keras.initializers.VarianceScaling(1.0 / 3.0, "fan_in", "uniform")


def torch_bias(inputs):
    """Return the uniform distribution of biases up to `1 / sqrt(inputs)`."""
    bound = inputs**-0.5
    return keras.initializers.RandomUniform(-bound, bound)


def gamma(name: Gamma):
    """Return the initializer of batch-norm scales.

    Args:
        name: `"ones"`, or `"uniform"` in [0, 1), as PyTorch before 1.2 drew
            them where a model did not set them.
    """
    if name == "uniform":
        return keras.initializers.RandomUniform(0.0, 1.0)
    return name


def convolution(
    x,
    filters,
    size,
    stride=1,
    *,
    name,
    initializer=None,
    use_bias=False,
    **kwargs,
):
    """Convolve with `size // 2` zeros on every side.

    Args:
        x: Tensor `(batch, height, width, channels)`.
        filters: Integer, output channels.
        size: Odd integer, height and width of the kernel.
        stride: Integer.
        name: String, the layer's name.
        initializer: Keras initializer of the kernel. Defaults to
            `fan_out_normal()`.
        use_bias: Boolean.
        **kwargs: Arguments of `keras.layers.Conv2D`.

    Returns:
        Tensor.
    """
    padding = "same"
    if stride > 1:
        padding = "valid"
        if size > 1:
            x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    return keras.layers.Conv2D(
        filters,
        size,
        stride,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer=initializer or fan_out_normal(),
        name=name,
        **kwargs,
    )(x)


def norm(x, name, gamma="ones", **kwargs):
    """Normalize batches with the constants of PyTorch.

    Args:
        x: Tensor.
        name: String, the layer's name.
        gamma: Keras initializer of the scale.
        **kwargs: Arguments of `keras.layers.BatchNormalization`.

    Returns:
        Tensor.
    """
    return keras.layers.BatchNormalization(
        gamma_initializer=gamma, name=name, **{**TORCH_BATCH_NORM, **kwargs}
    )(x)


def relu(x, name):
    """Apply a ReLU."""
    return keras.layers.ReLU(name=name)(x)


def numbered(x, block, counts, widths):
    """Apply stages of blocks named `block_1` and so on.

    The first block of every stage but the first has stride 2.

    Args:
        x: Tensor.
        block: Function `(x, width, stride, name)` that returns a tensor.
        counts: Sequence of integers, blocks in each stage.
        widths: Sequence of integers, the width of each stage.

    Returns:
        Tensor.
    """
    number = 0
    for stage, (count, width) in enumerate(zip(counts, widths, strict=True)):
        for position in range(count):
            number += 1
            stride = 2 if stage and not position else 1
            x = block(x, width, stride, f"block_{number}")
    return x


def padded_max_pool(x, size, stride, name):
    """Max-pool the output of a ReLU, padded with `size // 2` on every side.

    Where nothing is negative, padding with zeros equals padding with minus
    infinity.

    Args:
        x: Tensor of values that are not negative.
        size: Odd integer.
        stride: Integer.
        name: String, the layer's name.

    Returns:
        Tensor.
    """
    x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    return keras.layers.MaxPooling2D(size, stride, name=name)(x)


def linear(x, units, name, use_bias=True):
    """Apply a dense layer with the initialization of PyTorch."""
    return keras.layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer=torch_uniform(),
        bias_initializer=torch_bias(x.shape[-1]),
        name=name,
    )(x)


def hidden(x, units, number, scale, use_bias=False):
    """Apply a dense layer, batch normalization and a ReLU.

    Args:
        x: Tensor.
        units: Integer.
        number: Integer, the suffix of the names of the layers.
        scale: Keras initializer of the scale of the normalization.
        use_bias: Boolean, whether the dense layer has a bias.

    Returns:
        Tensor.
    """
    x = linear(x, units, f"hidden_{number}", use_bias)
    return relu(norm(x, f"norm_{number}", scale), f"relu_{number}")


def finish(inputs, logits, name, always_dense=()):
    """Build the model; its logits are float32 whatever the compute dtype.

    Args:
        inputs: Input tensor.
        logits: Tensor `(batch, classes)`.
        name: String, the model's name.
        always_dense: Tuple of patterns of layer names that `cb.sparsify`
            leaves dense unless told otherwise.

    Returns:
        A Keras model.
    """
    outputs = keras.layers.Activation(
        "linear", dtype="float32", name="outputs"
    )(logits)
    model = keras.Model(inputs, outputs, name=name)
    model.always_dense = tuple(always_dense)
    return model


def image_input(input_shape, model, smallest=1):
    """Return the input tensor of a model of images.

    Args:
        input_shape: Tuple, shape of one example.
        model: String, the model's name for messages.
        smallest: Integer, least height and width.

    Returns:
        Tensor.

    Raises:
        InputError: If the examples are not images, or are too small.
    """
    if len(input_shape) != 3 or min(input_shape[:2]) < smallest:
        raise InputError(
            f"Model `{model}` needs images of shape (height, width, "
            f"channels), at least {smallest}x{smallest}. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    return keras.Input(input_shape)
