"""A small graph of nodes whose wiring is learned."""

from typing import Literal

import keras
from keras import ops

from cb.datasets.preparation import WIRINGS
from cb.layers import NeuralODE
from cb.models import REGISTRY
from cb.models import blocks
from cb.models import recipes
from cb.models.blocks import Shape
from cb.registry import Count

NODES = 800
BLOCKS = (32, 192, 192, 192, 192)
OUTPUTS = 100
EDGES = 32_000
STEPS = 5
# The 41,458 parameters of the source exclude the affine part of the instance
# normalizations.
KEPT_DENSE = ("downsample_*", "node_filters*", "logits")


def edge_count(graph):
    """Return how many weights could be edges: what sparsity refers to."""
    if graph != "static":
        return NODES * NODES
    return sum(
        size * later for size, later in zip(BLOCKS, _later(), strict=True)
    )


def _later():
    """Return how many nodes each block feeds; the last, the outputs."""
    later = [NODES - sum(BLOCKS[: place + 1]) for place in range(len(BLOCKS))]
    return [*later[:-1], OUTPUTS]


def _recipe(graph="discrete"):
    return recipes.Recipe(
        regime=recipes.sgd(
            (0, 0.1), (80, 0.01), (120, 0.001), weight_decay=1e-4
        ),
        epochs=160,
        batch_size=512,
        train_transform=WIRINGS,
        sparsity={
            "sparsity": 1.0 - EDGES / edge_count(graph),
            "distribution": "uniform",
        },
    )


@REGISTRY.register("wiring_graph")
@recipes.trained_by(_recipe)
def wiring_graph(
    input_shape: Shape,
    num_classes: Count,
    graph: Literal["discrete", "continuous", "static"] = "discrete",
):
    """Build 800 nodes with a 3x3 filter each, and edges between them.

    - `"discrete"`: five times, the state of all nodes is rectified, filtered,
      sent along the edges and normalized; filters and edges are shared.
    - `"continuous"`: the same block is the rate at which the state changes
      from time 0 to 1. Needs TensorFlow Probability.
    - `"static"`: the nodes are in five blocks in topological order; a block
      is normalized, rectified, filtered and sent to all later nodes. Only
      edges that lead forward exist, so none of the budget is lost on others.

    Only the edges are made sparse.

    Reference:

    - [Wortsman et al., 2019](https://arxiv.org/abs/1906.00586)

    Args:
        input_shape: Tuple `(height, width, channels)`, at least 17x17.
        num_classes: Integer, number of logits.
        graph: `"discrete"`, `"continuous"` or `"static"`.

    Returns:
        A Keras model; with 32,000 edges, 41,458 parameters on CIFAR-10 and
        1,600 of normalizations.
    """
    inputs = blocks.image_input(input_shape, "wiring_graph", smallest=17)
    x = _downsample(inputs)
    x = FORMS[graph](x)
    return blocks.finish(
        inputs, _head(x, num_classes), "wiring_graph", KEPT_DENSE
    )


def _downsample(x):
    x = blocks.convolution(
        x,
        16,
        3,
        2,
        name="downsample_conv",
        initializer=blocks.torch_uniform(),
        use_bias=True,
        bias_initializer=blocks.torch_bias(9 * x.shape[-1]),
    )
    x = blocks.relu(blocks.norm(x, "downsample_norm_1"), "downsample_relu")
    x = keras.layers.ZeroPadding2D(1, name="downsample_pad")(x)
    x = keras.layers.DepthwiseConv2D(
        3,
        2,
        depthwise_initializer=_filter_uniform(),
        bias_initializer=blocks.torch_bias(9),
        name="downsample_depthwise",
    )(x)
    x = keras.layers.Conv2D(
        BLOCKS[0],
        1,
        kernel_initializer=blocks.torch_uniform(),
        bias_initializer=blocks.torch_bias(16),
        name="downsample_point",
    )(x)
    return blocks.norm(x, "downsample_norm_2")


@keras.saving.register_keras_serializable(package="cb")
class NodeFilters(keras.layers.DepthwiseConv2D):
    """One filter for each node; a class of its own, since it is never sparse.

    Patterns of names to keep dense do not reach layers inside of another
    layer, which is made sparse as a whole or not at all.
    """


def _block(filters):
    """Make the block that the state of all nodes goes through again."""
    return (
        keras.layers.ReLU(name="relu"),
        filters,
        _edges(NODES, "edges"),
        _instance_norm("norm"),
    )


def _all_nodes(x):
    return ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, NODES - BLOCKS[0])))


def _discrete(x):
    block = _block(_node_filters("node_filters"))
    x = _all_nodes(x)
    for _ in range(STEPS):
        for layer in block:
            x = layer(x)
    return x[..., -OUTPUTS:]


def _continuous(x):
    filters = _node_filters("node_filters", NodeFilters)
    solution = NeuralODE(_block(filters), name="solution")(_all_nodes(x))
    return solution[..., -OUTPUTS:]


def _static(x):
    # The state of the nodes after the current block, of zeros at first.
    waiting = None
    for number, (size, later) in enumerate(
        zip(BLOCKS, _later(), strict=True), start=1
    ):
        if waiting is not None:
            x, waiting = waiting[..., :size], waiting[..., size:]
        state = x
        x = blocks.relu(_instance_norm(f"norm_{number}")(x), f"relu_{number}")
        x = _node_filters(f"node_filters_{number}")(x)
        sent = _edges(later, f"edges_{number}")(x)
        if number == len(BLOCKS):
            return state[..., -OUTPUTS:] + sent
        waiting = sent if waiting is None else waiting + sent
    return x


def _head(x, num_classes):
    height, width = x.shape[1:3]
    # Three rows and columns are cut out, of which pooling sees two.
    x = keras.layers.Cropping2D(((2, height - 5), (2, width - 5)), name="crop")(
        x
    )
    x = keras.layers.AveragePooling2D(2, name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return blocks.linear(x, num_classes, "logits")


def _filter_uniform():
    # Each filter has nine inputs, whatever the number of nodes.
    return keras.initializers.RandomUniform(-1.0 / 3.0, 1.0 / 3.0)


def _node_filters(name, layer=keras.layers.DepthwiseConv2D):
    return layer(
        3,
        padding="same",
        use_bias=False,
        depthwise_initializer=_filter_uniform(),
        name=name,
    )


def _edges(outputs, name):
    return keras.layers.Conv2D(
        outputs,
        1,
        use_bias=False,
        kernel_initializer=blocks.torch_uniform(),
        name=name,
    )


def _instance_norm(name):
    return keras.layers.GroupNormalization(groups=-1, epsilon=1e-5, name=name)


FORMS = {"continuous": _continuous, "discrete": _discrete, "static": _static}
