"""Residual networks for CIFAR of the large-batch literature."""

from typing import Annotated

import keras

from cb.errors import argument_error
from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Shape
from cb.models.resnet import residual_block
from cb.registry import Count
from cb.registry import Interval


@REGISTRY.register("resnet44")
@recipes.trained_by(
    recipes.big_batch(
        (0, 0.1),
        (81, 0.01),
        (122, 0.001),
        (164, 1e-4),
        weight_decay=1e-4,
        renewed=(122,),
    )
)
def resnet44(
    input_shape: Shape,
    num_classes: Count,
    depth: Annotated[int, Interval("[8, inf)")] = 44,
):
    """Build a post-activation network in three stages, 16, 32 and 64 wide.

    Shortcuts that change shape are 1x1 convolutions with normalization.

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1512.03385)
    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        depth: Integer, `6n + 2`.

    Returns:
        A Keras model; 661,338 parameters on CIFAR-10.
    """
    if (depth - 2) % 6:
        raise argument_error("depth", "6n + 2, such as 20, 44 or 110", depth)
    return _network(
        input_shape, num_classes, (depth - 2) // 6, (16, 32, 64), "resnet44"
    )


@REGISTRY.register("wresnet16_4")
@recipes.trained_by(
    recipes.big_batch(
        (0, 0.1), (60, 0.02), (120, 0.004), (140, 1e-4), weight_decay=1e-4
    )
)
def wresnet16_4(input_shape: Shape, num_classes: Count):
    """Build `resnet44` with two blocks a stage and four times the channels.

    This is the wide network of the published code: post-activation, with a
    wide stem. `wide_resnet(depth=16, width=4)` is that of the literature.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.

    Returns:
        A Keras model; 2,800,804 parameters on CIFAR-100.
    """
    return _network(input_shape, num_classes, 2, (64, 128, 256), "wresnet16_4")


def _network(input_shape, num_classes, count, widths, name):
    inputs = blocks.image_input(input_shape, name, smallest=4)
    x = blocks.convolution(inputs, widths[0], 3, name="stem")
    x = blocks.relu(blocks.norm(x, "stem_norm"), "stem_relu")
    block = residual_block(blocks.fan_out_normal)
    x = blocks.numbered(x, block, [count] * len(widths), widths)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return blocks.finish(inputs, blocks.linear(x, num_classes, "logits"), name)
