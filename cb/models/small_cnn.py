"""A small convolutional network."""

import keras

from cb.errors import InputError
from cb.models import REGISTRY


@REGISTRY.register("small_cnn")
def small_cnn(
    input_shape, num_classes, filters=(32, 64), units=128, dropout=0.0
):
    """Build convolutions with batch normalization and pooling, then a head.

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        filters: Tuple of integers, one 3x3 convolution each; every
            convolution is followed by 2x2 max pooling.
        units: Integer, width of the hidden dense layer.
        dropout: Float in [0, 1), rate before the head.

    Returns:
        A Keras model.
    """
    filters = (filters,) if isinstance(filters, int) else tuple(filters)
    smallest = 2 ** len(filters)
    if len(input_shape) != 3 or min(input_shape[:2]) < smallest:
        raise InputError(
            "Model `small_cnn` needs images of shape (height, width, "
            f"channels), at least {smallest}x{smallest}. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    inputs = x = keras.Input(input_shape)
    for number, width in enumerate(filters, start=1):
        x = keras.layers.Conv2D(
            width, 3, padding="same", use_bias=False, name=f"conv_{number}"
        )(x)
        x = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, name=f"norm_{number}"
        )(x)
        x = keras.layers.ReLU(name=f"relu_{number}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"pool_{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(units, activation="relu", name="hidden")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    outputs = keras.layers.Dense(num_classes, name="logits")(x)
    outputs = keras.layers.Activation(
        "linear", dtype="float32", name="outputs"
    )(outputs)
    return keras.Model(inputs, outputs, name="small_cnn")
