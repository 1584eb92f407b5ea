"""Wide residual networks, as the sparse-training literature uses them."""

from typing import Annotated

import keras

from cb.datasets.preparation import DYNAMIC_SPARSE
from cb.errors import argument_error
from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Shape
from cb.registry import Count
from cb.registry import Interval


@REGISTRY.register("wide_resnet")
@recipes.trained_by(
    recipes.Recipe(
        regime=recipes.sgd(
            (0, 0.1),
            (60, 0.02),
            (120, 0.004),
            (160, 0.0008),
            weight_decay=5e-4,
            nesterov=True,
        ),
        epochs=200,
        batch_size=100,
        train_transform=DYNAMIC_SPARSE,
    )
)
def wide_resnet(
    input_shape: Shape,
    num_classes: Count,
    depth: Annotated[int, Interval("[10, inf)")] = 28,
    width: Annotated[float, Interval("(0.03125, inf)")] = 2,
):
    """Build a pre-activation network of 3x3 convolutions in three groups.

    The stem, the 1x1 shortcuts and the head always stay dense.

    Reference:

    - [Zagoruyko and Komodakis, 2016](https://arxiv.org/abs/1605.07146)
    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        depth: Integer, `6n + 4`.
        width: Number, factor of the 16 channels of the first group, which
            leaves at least one.

    Returns:
        A Keras model; 1,467,610 parameters on CIFAR-10.
    """
    if (depth - 4) % 6:
        raise argument_error("depth", "6n + 4, such as 16, 28 or 40", depth)
    inputs = blocks.image_input(input_shape, "wide_resnet", smallest=4)
    x = blocks.convolution(inputs, 16, 3, 1, name="stem")
    widths = [round(channels * width) for channels in (16, 32, 64)]
    x = blocks.numbered(x, _block, [(depth - 4) // 6] * 3, widths)
    x = blocks.relu(blocks.norm(x, "norm"), "relu")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(
        num_classes, kernel_initializer=blocks.torch_uniform(), name="logits"
    )(x)
    return blocks.finish(
        inputs, x, "wide_resnet", ("stem", "*_shortcut", "logits")
    )


def _block(x, channels, stride, name):
    shortcut = x
    x = blocks.relu(blocks.norm(x, f"{name}_norm_1"), f"{name}_relu_1")
    if shortcut.shape[-1] != channels:
        shortcut = blocks.convolution(
            x, channels, 1, stride, name=f"{name}_shortcut"
        )
    x = blocks.convolution(x, channels, 3, stride, name=f"{name}_conv_1")
    x = blocks.relu(blocks.norm(x, f"{name}_norm_2"), f"{name}_relu_2")
    x = blocks.convolution(x, channels, 3, 1, name=f"{name}_conv_2")
    return keras.layers.Add(name=name)([x, shortcut])
