"""Multilayer perceptrons."""

import keras

from cb.errors import InputError
from cb.models import REGISTRY


@REGISTRY.register("mlp")
def mlp(
    input_shape,
    num_classes,
    units=(300, 100),
    activation="relu",
    dropout=0.0,
    kernel_initializer="glorot_uniform",
):
    """Build a perceptron with hidden layers of the given widths.

    Args:
        input_shape: Tuple, shape of one example; it is flattened.
        num_classes: Integer, number of logits.
        units: Tuple of integers, widths of the hidden layers.
        activation: String, Keras activation of the hidden layers.
        dropout: Float in [0, 1), rate after every hidden layer.
        kernel_initializer: String, Keras initializer of the kernels.

    Returns:
        A Keras model.
    """
    units = (units,) if isinstance(units, int) else tuple(units)
    if not all(isinstance(width, int) and width > 0 for width in units):
        raise InputError(
            "Argument `units` must be positive integers. "
            f"Received: units={units}"
        )
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten(name="flatten")(inputs)
    for number, width in enumerate(units, start=1):
        x = keras.layers.Dense(
            width,
            activation=activation,
            kernel_initializer=kernel_initializer,
            name=f"hidden_{number}",
        )(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout_{number}")(x)
    outputs = keras.layers.Dense(
        num_classes, kernel_initializer=kernel_initializer, name="logits"
    )(x)
    # Softmax and loss stay in float32 whatever the compute type is.
    outputs = keras.layers.Activation(
        "linear", dtype="float32", name="outputs"
    )(outputs)
    return keras.Model(inputs, outputs, name="mlp")


@REGISTRY.register("lenet_300_100")
def lenet_300_100(input_shape, num_classes):
    """Build the perceptron 300-100 of the pruning literature, with biases.

    Reference:

    - [LeCun et al., 1998](https://doi.org/10.1109/5.726791)

    Args:
        input_shape: Tuple, shape of one example; it is flattened.
        num_classes: Integer, number of logits.

    Returns:
        A Keras model; 266,200 weights on 28x28 images with ten classes.
    """
    return mlp(input_shape, num_classes, units=(300, 100))
