"""A small convolutional network."""

import keras

from cb.models import REGISTRY
from cb.models import blocks
from cb.models.blocks import Shape
from cb.registry import Count
from cb.registry import Rate


@REGISTRY.register("small_cnn")
def small_cnn(
    input_shape: Shape,
    num_classes: Count,
    filters: Count | tuple[Count, ...] = (32, 64),
    units: Count = 128,
    dropout: Rate = 0.0,
):
    """Build convolutions with batch normalization and pooling, then a head.

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        filters: Integer or tuple of integers, one 3x3 convolution each; every
            convolution is followed by 2x2 max pooling.
        units: Integer, width of the hidden dense layer.
        dropout: Float in [0, 1), rate before the head.

    Returns:
        A Keras model.
    """
    filters = (filters,) if isinstance(filters, int) else tuple(filters)
    inputs = x = blocks.image_input(input_shape, "small_cnn", 2 ** len(filters))
    for number, width in enumerate(filters, start=1):
        x = keras.layers.Conv2D(
            width, 3, padding="same", use_bias=False, name=f"conv_{number}"
        )(x)
        x = blocks.relu(blocks.norm(x, f"norm_{number}"), f"relu_{number}")
        x = keras.layers.MaxPooling2D(2, name=f"pool_{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(units, activation="relu", name="hidden")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(num_classes, name="logits")(x)
    return blocks.finish(inputs, x, "small_cnn")
