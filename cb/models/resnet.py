"""Residual networks for ImageNet in the variants of the sources."""

import math
import re
from typing import Annotated
from typing import Literal

import keras

from cb.datasets.preparation import IMAGENET_CROPS
from cb.errors import InputError
from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Shape
from cb.registry import Count
from cb.registry import Interval

# Depth: blocks in each of four stages, and whether they are bottlenecks.
STAGES = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
Variant = Literal["v1.5", "dynamic_sparse", "big_batch"]
# At least one of the 64 channels of the first stage.
Width = Annotated[float, Interval("(0.0078125, inf)")]
# Patterns of the layers that each source always keeps dense.
VARIANTS = {
    "v1.5": ("stem",),
    "dynamic_sparse": ("stem", "*_shortcut"),
    "big_batch": (),
}
CONFIG = re.compile(r"(ignorefirst|allsparse)([1-9]0)?")


def wirings_regime(epoch):
    """Return the settings of an epoch: warm-up, then a cosine, in epochs."""
    epochs, warmup, peak = 100, 5, 0.256
    rate = peak * (epoch + 1) / warmup
    if epoch >= warmup:
        part = (epoch - warmup) / (epochs - warmup)
        rate = peak * 0.5 * (1.0 + math.cos(math.pi * part))
    return {
        # As the source means it: it names parameters with `bn`, and so forgets
        # the normalizations beside the blocks.
        "optimizer": "sgd(exclude_from_decay=('gamma', 'beta'))",
        "learning_rate": rate,
        "momentum": 0.875,
        "weight_decay": 2.0**-15,
    }


def _recipe(variant="v1.5", config="ignorefirst", **others):
    del others
    if variant == "v1.5":
        return recipes.Recipe(
            regime=wirings_regime,
            epochs=100,
            batch_size=256,
            label_smoothing=0.1,
            sparsity=_wirings_sparsity(config),
            train_transform=IMAGENET_CROPS,
        )
    return recipes.Recipe(
        regime=recipes.sgd(
            (0, 0.1),
            (30, 0.01),
            (60, 0.001),
            (90, 1e-4),
            weight_decay=1e-4,
            nesterov=variant == "dynamic_sparse",
        ),
        epochs=100 if variant == "dynamic_sparse" else None,
        batch_size=256,
        train_transform=IMAGENET_CROPS,
    )


def _wirings_sparsity(config):
    """Return the arguments of `cb.sparsify` that a configuration means."""
    kept = _check_config(config).group(2)
    if kept is None:
        return {}
    return {
        "sparsity": 1.0 - int(kept) / 100,
        "distribution": "uniform",
        "rounding": "up",
    }


def _check_config(config):
    match = CONFIG.fullmatch(config)
    if match is None:
        raise InputError(
            "Argument `config` must be 'ignorefirst' or 'allsparse', perhaps "
            "with the percentage of weights kept, such as 'ignorefirst10'. "
            f"Received: config={config!r}"
        )
    return match


def resnet(
    input_shape: Shape,
    num_classes: Count,
    depth: Literal[18, 34, 50, 101, 152],
    variant: Variant = "v1.5",
    width: Width = 1.0,
    config: str = "ignorefirst",
    sparse_downsample: bool = False,
):
    """Build a post-activation residual network, stride on the 3x3.

    Variants:

    - `"v1.5"`: the head is a 1x1 convolution without bias; kernels start
      from a normal distribution by incoming connections. Only the stem is
      kept dense, or nothing with `config="allsparse"`.
    - `"dynamic_sparse"`: a dense head with bias, which is made sparse;
      kernels by outgoing connections. The stem is kept dense, and the
      shortcuts unless `sparse_downsample`.
    - `"big_batch"`: the same network, nothing kept dense.

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1512.03385)
    - [Wortsman et al., 2019](https://arxiv.org/abs/1906.00586)
    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)

    Args:
        input_shape: Tuple `(height, width, channels)`.
        num_classes: Integer, number of logits.
        depth: Integer, 18, 34, 50, 101 or 152.
        variant: String.
        width: Number, factor of the channels.
        config: `"ignorefirst"` or `"allsparse"`, for `"v1.5"`; with a
            number such as `"ignorefirst10"` the recipe holds the sparsity
            that keeps 10 percent of the weights.
        sparse_downsample: Boolean, for `"dynamic_sparse"`.

    Returns:
        A Keras model.
    """
    ignore_first = _check_config(config).group(1) == "ignorefirst"
    counts, bottleneck = STAGES[depth]
    widths = [round(64 * width) * 2**stage for stage in range(len(counts))]
    wirings = variant == "v1.5"
    initializer = blocks.fan_in_normal if wirings else blocks.fan_out_normal

    inputs = blocks.image_input(input_shape, f"resnet{depth}", smallest=32)
    x = blocks.convolution(
        inputs, widths[0], 7, 2, name="stem", initializer=initializer()
    )
    x = blocks.relu(blocks.norm(x, "stem_norm"), "stem_relu")
    x = blocks.padded_max_pool(x, 3, 2, "stem_pool")
    block = residual_block(initializer, bottleneck)
    x = blocks.numbered(x, block, counts, widths)
    always_dense = VARIANTS[variant]
    if wirings and not ignore_first:
        always_dense = ()
    if sparse_downsample:
        always_dense = tuple(p for p in always_dense if p != "*_shortcut")
    logits = _head(x, num_classes, initializer() if wirings else None)
    return blocks.finish(inputs, logits, f"resnet{depth}", always_dense)


def _head(x, num_classes, initializer):
    if initializer is None:
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        return keras.layers.Dense(
            num_classes,
            kernel_initializer=blocks.torch_uniform(),
            name="logits",
        )(x)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    x = keras.layers.Conv2D(
        num_classes,
        1,
        use_bias=False,
        kernel_initializer=initializer,
        name="logits",
    )(x)
    return keras.layers.Flatten(name="flatten")(x)


def residual_block(initializer, bottleneck=False):
    """Return a function that adds a residual block, for `blocks.numbered`.

    Args:
        initializer: Function that returns the initializer of a kernel.
        bottleneck: Boolean, whether the block is a 1x1, a 3x3 and a 1x1
            convolution, the last four times as wide, instead of two 3x3.
    """

    def convolve(x, filters, size, stride, name):
        return blocks.convolution(
            x, filters, size, stride, name=name, initializer=initializer()
        )

    def block(x, width, stride, name):
        steps = [(width, 3, stride), (width, 3, 1)]
        if bottleneck:
            steps = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
        outputs = steps[-1][0]
        shortcut = x
        if stride > 1 or x.shape[-1] != outputs:
            shortcut = convolve(x, outputs, 1, stride, f"{name}_shortcut")
            shortcut = blocks.norm(shortcut, f"{name}_shortcut_norm")
        for number, step in enumerate(steps, start=1):
            x = convolve(x, *step, f"{name}_conv_{number}")
            x = blocks.norm(x, f"{name}_norm_{number}")
            if number < len(steps):
                x = blocks.relu(x, f"{name}_relu_{number}")
        x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
        return blocks.relu(x, name)

    return block


def _of_depth(depth):
    """Return a builder of `resnet` of one depth."""

    def builder(
        input_shape: Shape,
        num_classes: Count,
        variant: Variant = "v1.5",
        config: str = "ignorefirst",
    ):
        return resnet(input_shape, num_classes, depth, variant, config=config)

    builder.__name__ = builder.__qualname__ = f"resnet{depth}"
    builder.__doc__ = f"Build `resnet` of depth {depth}."
    return recipes.trained_by(_recipe)(builder)


resnet18 = REGISTRY.register("resnet18")(_of_depth(18))
resnet34 = REGISTRY.register("resnet34")(_of_depth(34))
resnet101 = REGISTRY.register("resnet101")(_of_depth(101))
resnet152 = REGISTRY.register("resnet152")(_of_depth(152))


@REGISTRY.register("resnet50")
@recipes.trained_by(_recipe)
def resnet50(
    input_shape: Shape,
    num_classes: Count,
    variant: Variant = "v1.5",
    width: Width = 1.0,
    config: str = "ignorefirst",
    sparse_downsample: bool = False,
):
    """Build `resnet` of depth 50."""
    return resnet(
        input_shape, num_classes, 50, variant, width, config, sparse_downsample
    )
