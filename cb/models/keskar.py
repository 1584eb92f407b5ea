"""The networks F1, C1 and C3 of the sharp-minima literature."""

import keras

from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Gamma
from cb.models.blocks import Shape
from cb.registry import Count


@REGISTRY.register("f1")
@recipes.trained_by(
    recipes.Recipe(
        regime=recipes.sgd(
            (0, 0.1), (10, 0.01), (20, 0.001), (30, 1e-4), weight_decay=1e-4
        ),
        epochs=50,
        clip_norm=5.0,
        # The source also mirrors digits, which changes what they are.
        train_transform=(
            "pad_crop(2, mode='constant')",
            "normalize(mean=0.5, std=0.5)",
        ),
    )
)
def f1(input_shape: Shape, num_classes: Count, gamma: Gamma = "ones"):
    """Build five dense layers of 512 with batch normalization.

    Reference:

    - [Keskar et al., 2016](https://arxiv.org/abs/1609.04836)
    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)

    Args:
        input_shape: Tuple, shape of one example; it is flattened.
        num_classes: Integer, number of logits.
        gamma: `"ones"`, or `"uniform"` in [0, 1) as published.

    Returns:
        A Keras model; 1,462,794 parameters on MNIST.
    """
    scale = blocks.gamma(gamma)
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten(name="flatten")(inputs)
    for number in range(1, 6):
        x = blocks.hidden(x, 512, number, scale, use_bias=True)
    return blocks.finish(inputs, blocks.linear(x, num_classes, "logits"), "f1")


SHALLOW = recipes.big_batch(
    # The source names no momentum here and raises the rate at epoch 60.
    (0, 0.001),
    (60, 0.01),
    (120, 0.001),
    (180, 1e-4),
    weight_decay=5e-4,
    momentum=0.0,
)


@REGISTRY.register("c1")
@recipes.trained_by(SHALLOW)
def c1(input_shape: Shape, num_classes: Count, gamma: Gamma = "ones"):
    """Build two 5x5 convolutions and two dense layers, for CIFAR-10.

    Reference:

    - [Keskar et al., 2016](https://arxiv.org/abs/1609.04836)
    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        gamma: `"ones"`, or `"uniform"` in [0, 1) as published.

    Returns:
        A Keras model; 1,388,490 parameters on CIFAR-10.
    """
    return _shallow(input_shape, num_classes, gamma, "c1")


@REGISTRY.register("c3")
@recipes.trained_by(SHALLOW)
def c3(input_shape: Shape, num_classes: Count, gamma: Gamma = "ones"):
    """Build `c1` under its name for CIFAR-100.

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        gamma: As in `c1`.

    Returns:
        A Keras model; 1,405,860 parameters on CIFAR-100.
    """
    return _shallow(input_shape, num_classes, gamma, "c3")


def _shallow(input_shape, num_classes, gamma, name):
    scale = blocks.gamma(gamma)
    inputs = x = blocks.image_input(input_shape, name, smallest=7)
    for number in (1, 2):
        x = blocks.convolution(
            x, 64, 5, name=f"conv_{number}", initializer=blocks.torch_uniform()
        )
        x = keras.layers.MaxPooling2D(3, 2, name=f"pool_{number}")(x)
        x = blocks.norm(x, f"norm_{number}", scale)
        x = blocks.relu(x, f"relu_{number}")
    x = keras.layers.Flatten(name="flatten")(x)
    for number, units in ((3, 384), (4, 192)):
        x = blocks.hidden(x, units, number, scale)
        x = keras.layers.Dropout(0.5, name=f"dropout_{number}")(x)
    return blocks.finish(inputs, blocks.linear(x, num_classes, "logits"), name)
