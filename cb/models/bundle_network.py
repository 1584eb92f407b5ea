"""Deep VGG and residual networks made of numbered blocks."""

from typing import Literal

import keras

from cb.errors import InputError
from cb.models import REGISTRY
from cb.models import blocks
from cb.models.blocks import Shape
from cb.models.lesion import drop_blocks
from cb.registry import Count
from cb.registry import Natural

# Depth: blocks of 64, 128, 256 and 512 channels.
DEPTHS = {
    4: (1, 0, 0, 0),
    10: (1, 1, 1, 1),
    20: (2, 2, 3, 2),
    30: (3, 3, 5, 3),
    50: (3, 6, 12, 3),
    76: (3, 6, 25, 3),
    100: (3, 12, 31, 3),
    120: (3, 12, 41, 3),
}
CHANNELS = (64, 128, 256, 512)
Depth = Literal[4, 10, 20, 30, 50, 76, 100, 120]
Counts = tuple[Natural, Natural, Natural, Natural]


@REGISTRY.register("bundle_vgg")
def bundle_vgg(
    input_shape: Shape,
    num_classes: Count,
    depth: Depth = 50,
    blocks: Counts | None = None,
):
    """Build blocks of two 3x3 convolutions each, without shortcuts.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        depth: Integer, 4, 10, 20, 30, 50, 76, 100 or 120.
        blocks: Tuple of four integers, blocks of 64, 128, 256 and 512
            channels; overrides `depth`.

    Returns:
        A Keras model; the outputs of the blocks are named `block_1` and so
        on.
    """
    return _network(
        input_shape, num_classes, depth, blocks, _vgg_block, "bundle_vgg"
    )


@REGISTRY.register("bundle_resnet")
def bundle_resnet(
    input_shape: Shape,
    num_classes: Count,
    depth: Depth = 50,
    blocks: Counts | None = None,
    lesion: tuple[Count, ...] = (),
):
    """Build residual blocks of two 3x3 convolutions each.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    - [Peer et al., 2021](https://arxiv.org/abs/2103.04331)

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        depth: Integer, 4, 10, 20, 30, 50, 76, 100 or 120.
        blocks: Tuple of four integers, blocks of 64, 128, 256 and 512
            channels; overrides `depth`.
        lesion: Tuple of numbers of blocks, from 1, to leave out; see
            `drop_blocks`.

    Returns:
        A Keras model; the outputs of the blocks are named `block_1` and so
        on.
    """
    block = _residual_block
    model = _network(
        input_shape, num_classes, depth, blocks, block, "bundle_resnet"
    )
    return drop_blocks(model, lesion) if lesion else model


def _network(input_shape, num_classes, depth, counts, block, name):
    counts = DEPTHS[depth] if counts is None else tuple(counts)
    if not any(counts):
        raise InputError(
            "Argument `blocks` must have a number that is not zero. "
            f"Received: blocks={counts}"
        )
    inputs = blocks.image_input(input_shape, name, smallest=8)
    x = _convolution(inputs, 64, 7, 2, "stem", "glorot_uniform")
    x = blocks.relu(_norm(x, "stem_norm"), "stem_relu")
    if input_shape[1] > 50:
        x = keras.layers.MaxPooling2D(3, 2, "same", name="stem_pool")(x)
    x = blocks.numbered(x, block, counts, CHANNELS)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(num_classes, name="logits")(x)
    return blocks.finish(inputs, x, name)


def _convolution(x, filters, size, stride, name, initializer="he_normal"):
    # This family pads as Keras does.
    return keras.layers.Conv2D(
        filters,
        size,
        stride,
        padding="same",
        kernel_initializer=initializer,
        name=name,
    )(x)


def _norm(x, name):
    return keras.layers.BatchNormalization(name=name)(x)


def _convolutions(x, channels, stride, name):
    x = _convolution(x, channels, 3, stride, f"{name}_conv_1")
    x = blocks.relu(_norm(x, f"{name}_norm_1"), f"{name}_relu_1")
    x = _convolution(x, channels, 3, 1, f"{name}_conv_2")
    return _norm(x, f"{name}_norm_2")


def _vgg_block(x, channels, stride, name):
    return blocks.relu(_convolutions(x, channels, stride, name), name)


def _residual_block(x, channels, stride, name):
    shortcut = x
    if stride > 1:
        shortcut = _convolution(x, channels, 1, stride, f"{name}_shortcut")
        shortcut = _norm(shortcut, f"{name}_shortcut_norm")
    x = _convolutions(x, channels, stride, name)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return blocks.relu(x, name)
