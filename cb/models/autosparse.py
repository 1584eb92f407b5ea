"""Networks of the search for the accuracy-efficiency trade-off."""

import math
from typing import Literal

import keras

from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Shape
from cb.registry import Count
from cb.registry import Rate

WIDTHS = (16, 32, 64)


def hidden_sizes(layers, first, middle, last):
    """Return widths that lead from `first` through `middle` to `last`.

    Args:
        layers: Integer, number of hidden layers.
        first: Integer, width of the first.
        middle: Integer, width of the middle one, of three or more.
        last: Integer, width of the last, of two or more.

    Returns:
        List of integers. Between the three, widths change by equal steps;
        each width is rounded, halves to even, without changing the next.
    """
    if layers == 1:
        return [first]
    if layers == 2:
        return [first, last]
    half = math.ceil(layers / 2)
    even = layers % 2 == 0
    falls = layers - half - 1 if even else layers - half
    rises = half - 1 if even else half - 2
    sizes, current = [first], float(first)
    for steps, change, length in (
        (falls, middle - first, half - 1),
        (rises, last - middle, layers - half),
    ):
        for _ in range(steps):
            current += change / length
            sizes.append(round(current))
    return [*sizes, last]


@REGISTRY.register("autosparse_mlp")
@recipes.trained_by(
    recipes.Recipe(
        regime=recipes.sgd((0, 0.01), weight_decay=2e-4),
        epochs=200,
        batch_size=128,
        sparsity={"distribution": "uniform"},
    )
)
def autosparse_mlp(
    input_shape: Shape,
    num_classes: Count,
    layers: Count = 3,
    first: Count = 1000,
    middle: Count = 1000,
    last: Count = 1000,
    dropout: Rate = 0.0,
    dropout_on_logits: bool = False,
):
    """Build a perceptron of 1 to 10 hidden layers.

    Args:
        input_shape: Tuple, shape of one example; it is flattened.
        num_classes: Integer, number of logits.
        layers: Integer, number of hidden layers.
        first: Integer, width of the first hidden layer.
        middle: Integer, width of the middle one, of three or more.
        last: Integer, width of the last one, of two or more.
        dropout: Float in [0, 1), rate after every hidden layer, before its
            activation.
        dropout_on_logits: Boolean, whether the logits are dropped too, as
            published.

    Returns:
        A Keras model.
    """
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten(name="flatten")(inputs)
    sizes = hidden_sizes(layers, first, middle, last)
    for number, width in enumerate(sizes):
        x = _dense(x, width, f"dense_{number}")
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout_{number}")(x)
        x = blocks.relu(x, f"relu_{number}")
    x = _dense(x, num_classes, f"dense_{len(sizes)}")
    if dropout and dropout_on_logits:
        x = keras.layers.Dropout(dropout, name=f"dropout_{len(sizes)}")(x)
    return blocks.finish(inputs, x, "autosparse_mlp")


def _dense(x, units, name):
    return keras.layers.Dense(
        units, kernel_initializer="lecun_normal", name=name
    )(x)


@REGISTRY.register("autosparse_resnet")
@recipes.trained_by(
    recipes.Recipe(
        regime=lambda epoch: {
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "learning_rate": 0.1 * _cosine(epoch / 135),
        },
        epochs=135,
        batch_size=256,
        label_smoothing=0.1,
        sparsity={"distribution": "erk"},
    )
)
def autosparse_resnet(
    input_shape: Shape,
    num_classes: Count,
    stages: tuple[Count, Count, Count] = (3, 3, 3),
    stem: Literal["corrected", "published"] = "corrected",
):
    """Build a post-activation network in three stages, 16, 32 and 64 wide.

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        stages: Tuple of three integers, blocks in each stage.
        stem: `"corrected"`, which keeps the size of the image, or
            `"published"`, padded by 3 on every side, which makes 36x36 of
            32x32.

    Returns:
        A Keras model; 270,896 weights in 22 kernels on CIFAR-10.
    """
    inputs = x = blocks.image_input(input_shape, "autosparse_resnet", 4)
    padding = "same"
    if stem == "published":
        x = keras.layers.ZeroPadding2D(3, name="conv_init_pad")(x)
        padding = "valid"
    x = _convolution(x, 16, 3, 1, "conv_init", padding)
    x = blocks.relu(blocks.norm(x, "bn_init"), "relu_init")
    number = 0
    for stage, (count, width) in enumerate(
        zip(stages, WIDTHS, strict=True), start=1
    ):
        for block in range(1, count + 1):
            number += 1
            stride = 2 if stage > 1 and block == 1 else 1
            x = _block(x, width, stride, f"{stage}_{block}", f"block_{number}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return blocks.finish(
        inputs, _dense(x, num_classes, "dense"), "autosparse_resnet"
    )


def _convolution(x, filters, size, stride, name, padding="same"):
    # The source's framework pads like Keras, the end first.
    return keras.layers.Conv2D(
        filters,
        size,
        stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="lecun_normal",
        name=name,
    )(x)


def _block(x, width, stride, place, name):
    shortcut = x
    x = _convolution(x, width, 3, stride, f"conv_{place}_1")
    x = blocks.relu(blocks.norm(x, f"bn_{place}_1"), f"relu_{place}_1")
    x = _convolution(x, width, 3, 1, f"conv_{place}_2")
    x = blocks.norm(x, f"bn_{place}_2", gamma="zeros")
    if shortcut.shape != x.shape:
        shortcut = _convolution(shortcut, width, 1, stride, f"conv_{place}_3")
        shortcut = blocks.norm(shortcut, f"bn_{place}_3")
    x = keras.layers.Add(name=f"add_{place}")([x, shortcut])
    return blocks.relu(x, name)


def _cosine(progress):
    return (1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * progress)) + 1e-4
