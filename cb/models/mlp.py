"""Multilayer perceptrons."""

from typing import Literal

import keras

from cb.layers.s_shaped_relu import SReLU
from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Gamma
from cb.models.blocks import Shape
from cb.registry import Count
from cb.registry import Rate

Biases = Literal["zeros", "torch"]


@REGISTRY.register("mlp")
def mlp(
    input_shape: Shape,
    num_classes: Count,
    units: Count | tuple[Count, ...] = (300, 100),
    activation: str = "relu",
    dropout: Rate = 0.0,
    kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
    biases: Biases = "zeros",
):
    """Build a perceptron with hidden layers of the given widths.

    Args:
        input_shape: Tuple, shape of one example; it is flattened.
        num_classes: Integer, number of logits.
        units: Integer or tuple of integers, widths of the hidden layers.
        activation: String, Keras activation of the hidden layers, or
            `"srelu"`, whose four parameters of every unit are trained too.
        dropout: Float in [0, 1), rate after every hidden layer.
        kernel_initializer: String, Keras initializer of the kernels.
        biases: `"zeros"`, or `"torch"` for the uniform distribution up to
            `1 / sqrt(inputs)`, as PyTorch draws them by default.

    Returns:
        A Keras model.
    """
    units = (units,) if isinstance(units, int) else tuple(units)
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten(name="flatten")(inputs)

    def dense(x, width, name, **kwargs):
        drawn = biases == "torch"
        initializer = blocks.torch_bias(x.shape[-1]) if drawn else "zeros"
        return keras.layers.Dense(
            width,
            kernel_initializer=kernel_initializer,
            bias_initializer=initializer,
            name=name,
            **kwargs,
        )(x)

    for number, width in enumerate(units, start=1):
        if activation == "srelu":
            x = dense(x, width, f"hidden_{number}")
            x = SReLU(name=f"srelu_{number}")(x)
        else:
            x = dense(x, width, f"hidden_{number}", activation=activation)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout_{number}")(x)
    x = dense(x, num_classes, "logits")
    return blocks.finish(inputs, x, "mlp")


MNIST = recipes.Recipe(
    regime=recipes.sgd(
        (0, 0.1),
        (25, 0.02),
        (50, 0.004),
        (75, 0.0008),
        weight_decay=1e-4,
        nesterov=True,
    ),
    epochs=100,
    batch_size=100,
)


@REGISTRY.register("lenet_300_100")
@recipes.trained_by(MNIST)
def lenet_300_100(
    input_shape: Shape,
    num_classes: Count,
    kernel_initializer: str | None = None,
    biases: Biases = "zeros",
):
    """Build the perceptron 300-100 of the pruning literature, with biases.

    Reference:

    - [LeCun et al., 1998](https://doi.org/10.1109/5.726791)
    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)

    Args:
        input_shape: Tuple, shape of one example; it is flattened.
        num_classes: Integer, number of logits.
        kernel_initializer: String, Keras initializer. Defaults to the
            uniform distribution up to `1 / sqrt(inputs)`.
        biases: As in `mlp`.

    Returns:
        A Keras model; 266,200 weights on 28x28 images with ten classes.
    """
    return mlp(
        input_shape,
        num_classes,
        units=(300, 100),
        kernel_initializer=kernel_initializer or blocks.torch_uniform(),
        biases=biases,
    )


@REGISTRY.register("mnist_mlp")
@recipes.trained_by(MNIST)
def mnist_mlp(input_shape: Shape, num_classes: Count, gamma: Gamma = "ones"):
    """Build the perceptron 300-100 with batch normalization, no biases.

    The logits are normalized too.

    Reference:

    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)

    Args:
        input_shape: Tuple, shape of one example; it is flattened.
        num_classes: Integer, number of logits.
        gamma: `"ones"`, or `"uniform"` in [0, 1) as published.

    Returns:
        A Keras model; 267,020 parameters on 28x28 images with ten classes.
    """
    scale = blocks.gamma(gamma)
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten(name="flatten")(inputs)
    for number, width in enumerate((300, 100), start=1):
        x = blocks.hidden(x, width, number, scale)
    x = blocks.linear(x, num_classes, "logits", use_bias=False)
    x = blocks.norm(x, "norm_3", scale)
    return blocks.finish(inputs, x, "mnist_mlp")
