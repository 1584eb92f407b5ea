"""Deep, narrow fully connected networks."""

import keras

from cb.models import REGISTRY
from cb.models.blocks import Shape
from cb.models.blocks import finish
from cb.registry import Count


@REGISTRY.register("fnn")
def fnn(
    input_shape: Shape,
    num_classes: Count,
    blocks: Count | tuple[Count] = (50,),
    width: Count = 50,
):
    """Build a stack of hidden layers of equal width.

    Beyond some depth such networks stop learning, at a smaller depth the
    narrower they are: examples of several classes meet in one bundle.

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
    (depth,) = (blocks,) if isinstance(blocks, int) else blocks
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten(name="flatten")(inputs)
    for number in range(1, depth + 1):
        x = keras.layers.Dense(
            width,
            activation="relu",
            kernel_initializer="he_uniform",
            name=f"block_{number}",
        )(x)
    x = keras.layers.Dense(num_classes, name="logits")(x)
    return finish(inputs, x, "fnn")
