"""VGG networks with batch normalization, for small images."""

from typing import Literal

import keras

from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Shape
from cb.registry import Count

# Convolutions of 64, 128, 256, 512 and 512 channels, each group pooled.
COUNTS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
CHANNELS = (64, 128, 256, 512, 512)


@REGISTRY.register("vgg")
@recipes.trained_by(
    recipes.big_batch(
        (0, 0.1), (81, 0.01), (122, 0.001), (164, 1e-4), weight_decay=5e-4
    )
)
def vgg(
    input_shape: Shape, num_classes: Count, depth: Literal[11, 13, 16, 19] = 16
):
    """Build 3x3 convolutions with normalization, and one dense layer.

    The large-batch paper reports a VGG without saying which; this is the
    form that is common for CIFAR.

    Reference:

    - [Simonyan and Zisserman, 2014](https://arxiv.org/abs/1409.1556)
    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)

    Args:
        input_shape: Tuple `(height, width, channels)`, at least 32x32.
        num_classes: Integer, number of logits.
        depth: Integer, 11, 13, 16 or 19.

    Returns:
        A Keras model; 14,728,266 parameters at depth 16 on CIFAR-10.
    """
    inputs = x = blocks.image_input(input_shape, "vgg", smallest=32)
    number = 0
    for group, (count, channels) in enumerate(
        zip(COUNTS[depth], CHANNELS, strict=True), start=1
    ):
        for _ in range(count):
            number += 1
            x = blocks.convolution(
                x, channels, 3, name=f"block_{number}_conv", use_bias=True
            )
            x = blocks.norm(x, f"block_{number}_norm")
            x = blocks.relu(x, f"block_{number}")
        x = keras.layers.MaxPooling2D(2, name=f"pool_{group}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return blocks.finish(inputs, blocks.linear(x, num_classes, "logits"), "vgg")
