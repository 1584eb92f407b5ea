"""AlexNet in one column, with batch normalization."""

import keras

from cb.datasets.preparation import IMAGENET
from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Gamma
from cb.models.blocks import Shape
from cb.registry import Count


@REGISTRY.register("alexnet")
@recipes.trained_by(
    recipes.Recipe(
        regime={
            **recipes.sgd(
                (0, 0.01),
                (10, 0.005),
                (20, 5e-4),
                (25, 1e-4),
                weight_decay=5e-4,
            ),
            15: {"learning_rate": 0.001, "weight_decay": 0.0},
        },
        clip_norm=5.0,
        train_transform=(
            "resize(256)",
            "random_crop(size=224)",
            "flip",
            IMAGENET,
        ),
    )
)
def alexnet(input_shape: Shape, num_classes: Count, gamma: Gamma = "ones"):
    """Build five convolutions and two dense layers of 4096.

    After the first layer normalization follows the ReLU, as published.

    Reference:

    - [Krizhevsky, 2014](https://arxiv.org/abs/1404.5997)
    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)

    Args:
        input_shape: Tuple `(height, width, channels)`, at least 63 high.
        num_classes: Integer, number of logits.
        gamma: `"ones"`, or `"uniform"` in [0, 1) as published.

    Returns:
        A Keras model; 61,110,184 parameters on images of 224 with 1000
        classes.
    """
    scale = blocks.gamma(gamma)
    inputs = blocks.image_input(input_shape, "alexnet", smallest=63)
    x = keras.layers.ZeroPadding2D(2, name="conv_1_pad")(inputs)
    x = _convolution(x, 64, 11, 1, strides=4, padding="valid")
    x = _pool(x, 1)
    x = blocks.relu(blocks.norm(x, "norm_1", scale), "relu_1")
    for number, filters, size, pooled in (
        (2, 192, 5, True),
        (3, 384, 3, False),
        (4, 256, 3, False),
        (5, 256, 3, True),
    ):
        x = _convolution(x, filters, size, number, padding="same")
        x = _pool(x, number) if pooled else x
        x = blocks.relu(x, f"relu_{number}")
        x = blocks.norm(x, f"norm_{number}", scale)
    x = keras.layers.Flatten(name="flatten")(x)
    for number in (6, 7):
        x = blocks.hidden(x, 4096, number, scale)
        x = keras.layers.Dropout(0.5, name=f"dropout_{number}")(x)
    x = blocks.linear(x, num_classes, "logits")
    return blocks.finish(inputs, x, "alexnet")


def _convolution(x, filters, size, number, **kwargs):
    return keras.layers.Conv2D(
        filters,
        size,
        use_bias=False,
        kernel_initializer=blocks.torch_uniform(),
        name=f"conv_{number}",
        **kwargs,
    )(x)


def _pool(x, number):
    return keras.layers.MaxPooling2D(3, 2, name=f"pool_{number}")(x)
