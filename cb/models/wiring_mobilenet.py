"""A network like MobileNet whose channels are wired by learning."""

import math
from typing import NamedTuple

import keras

from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Shape
from cb.registry import Count
from cb.registry import OpenFraction
from cb.sparsity import distributions


class Group(NamedTuple):
    """Blocks of one width that are wired to each other.

    Attributes:
        inputs: Integer, channels that come in.
        outputs: Integer, channels of each block.
        stride: Integer, of the filters of the inputs.
        blocks: Integer, number of blocks.
    """

    inputs: int
    outputs: int
    stride: int
    blocks: int

    def budget(self, prune_rate: float) -> float:
        """Return how many edges the group should have, a real number.

        As many as a MobileNet of width `1 - prune_rate` has in its 1x1
        convolutions.
        """
        pairs = self.inputs * self.outputs
        pairs += (self.blocks - 1) * self.outputs**2
        return (1.0 - prune_rate) ** 2 * pairs

    def kernels(self) -> list[tuple[int, int]]:
        """List the shapes `(inputs, outputs)` of kernels of forward edges."""
        first = (self.inputs, self.outputs * self.blocks)
        return [first] + [
            (self.outputs, self.outputs * (self.blocks - place))
            for place in range(1, self.blocks)
        ]


GROUPS = {
    "group_1": Group(32, 64, 1, 1),
    "group_2": Group(64, 128, 2, 2),
    "group_3": Group(128, 256, 2, 2),
    "group_4": Group(256, 512, 2, 6),
    "group_5": Group(512, 1024, 2, 2),
}


def edge_counts(prune_rate):
    """Return how many edges each group has, exact in total."""
    budgets = {key: group.budget(prune_rate) for key, group in GROUPS.items()}
    room = {
        key: sum(map(math.prod, group.kernels()))
        for key, group in GROUPS.items()
    }
    total = round(sum(budgets.values()))
    return distributions.largest_remainder(budgets, total, room)


def edge_sparsity(prune_rate):
    """Return the sparsity of every kernel that meets the edge budgets.

    Args:
        prune_rate: Float in (0, 1).

    Returns:
        Dict of layer name to float, for `cb.sparsify`.
    """
    found = {}
    for group, edges in edge_counts(prune_rate).items():
        sizes = {
            f"{group}_edges_{place}": math.prod(shape)
            for place, shape in enumerate(GROUPS[group].kernels())
        }
        share = edges / sum(sizes.values())
        counts = distributions.largest_remainder(
            {name: share * size for name, size in sizes.items()}, edges, sizes
        )
        for name, size in sizes.items():
            found[name] = 1.0 - counts[name] / size
    return found


def _recipe(prune_rate=0.775, small_head=False):
    del small_head
    return recipes.Recipe(
        regime=lambda epoch: {
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "learning_rate": 0.05 * (1 + math.cos(math.pi * epoch / 160)),
        },
        epochs=160,
        batch_size=128,
        sparsity={"sparsity": edge_sparsity(prune_rate)},
    )


@REGISTRY.register("wiring_mobilenet")
@recipes.trained_by(_recipe)
def wiring_mobilenet(
    input_shape: Shape,
    num_classes: Count,
    prune_rate: OpenFraction = 0.775,
    small_head: bool = False,
):
    """Build groups of filters with edges from each block to all later ones.

    Only edges that lead forward exist. Only they are made sparse, and the
    head if it is small.

    Reference:

    - [Wortsman et al., 2019](https://arxiv.org/abs/1906.00586)

    Args:
        input_shape: Tuple `(height, width, channels)`; the first convolution
            has stride 2 on images of more than 64.
        num_classes: Integer, number of logits.
        prune_rate: Float in (0, 1), one minus the width of the MobileNet
            with as many edges; the recipe holds the sparsities.
        small_head: Boolean, whether the head has no bias and may be sparse.

    Returns:
        A Keras model.
    """
    inputs = blocks.image_input(input_shape, "wiring_mobilenet", smallest=16)
    x = blocks.convolution(
        inputs,
        32,
        3,
        1 if input_shape[0] <= 64 else 2,
        name="stem",
        initializer=blocks.torch_uniform(),
    )
    for name, group in GROUPS.items():
        x = _group(x, group, name)
    x = blocks.relu(blocks.norm(x, "norm"), "relu")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = blocks.linear(x, num_classes, "logits", use_bias=not small_head)
    kept = ("stem", "*_filters_*") + (() if small_head else ("logits",))
    return blocks.finish(inputs, x, "wiring_mobilenet", kept)


def _group(x, group, name):
    sent = _send(x, group.outputs * group.blocks, group.stride, name, 0)
    for place in range(1, group.blocks):
        x, sent = sent[..., : group.outputs], sent[..., group.outputs :]
        later = group.outputs * (group.blocks - place)
        sent = sent + _send(x, later, 1, name, place)
    return sent


def _send(x, outputs, stride, name, place):
    """Normalize, rectify, filter and send along the edges."""
    x = blocks.norm(x, f"{name}_norm_{place}")
    x = blocks.relu(x, f"{name}_relu_{place}")
    padding = "same"
    if stride > 1:
        x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad_{place}")(x)
        padding = "valid"
    x = keras.layers.DepthwiseConv2D(
        3,
        stride,
        padding=padding,
        use_bias=False,
        depthwise_initializer=keras.initializers.RandomUniform(-1 / 3, 1 / 3),
        name=f"{name}_filters_{place}",
    )(x)
    return keras.layers.Conv2D(
        outputs,
        1,
        use_bias=False,
        kernel_initializer=blocks.torch_uniform(),
        name=f"{name}_edges_{place}",
    )(x)
