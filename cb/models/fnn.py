"""Deep, narrow fully connected networks."""

import keras

from cb.errors import InputError
from cb.models import REGISTRY


@REGISTRY.register("fnn")
def fnn(input_shape, num_classes, blocks=(50,), width=50):
    """Build equal hidden layers in a row, as deep as they are asked for.

    Such networks stop learning at some depth, earlier the narrower they
    are: examples of several classes meet in one bundle.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)

    Args:
        input_shape: Tuple, shape of one example; it is flattened.
        num_classes: Integer, number of logits.
        blocks: Integer or tuple of one integer, the number of hidden layers.
        width: Integer, units of each hidden layer.

    Returns:
        A Keras model; the hidden layers are named `block_1` and so on.
    """
    blocks = (blocks,) if isinstance(blocks, int) else tuple(blocks)
    numbers = (*blocks, width)
    if len(blocks) != 1 or not all(
        isinstance(number, int) and number > 0 for number in numbers
    ):
        raise InputError(
            "Arguments `blocks` and `width` must be positive integers. "
            f"Received: blocks={blocks}, width={width}"
        )
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten(name="flatten")(inputs)
    for number in range(1, blocks[0] + 1):
        x = keras.layers.Dense(
            width,
            activation="relu",
            kernel_initializer="he_uniform",
            name=f"block_{number}",
        )(x)
    x = keras.layers.Dense(num_classes, name="logits")(x)
    # Softmax and loss stay in float32 whatever the compute type is.
    outputs = keras.layers.Activation(
        "linear", dtype="float32", name="outputs"
    )(x)
    return keras.Model(inputs, outputs, name="fnn")
