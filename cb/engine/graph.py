"""Networks as the engine knows them: nodes between numbered values.

A value is an image `(height, width, channels)` for each example; sequences have
a height of 1, vectors a height and a width of 1. Batches are no part of it.
Nodes know nothing of layouts, memory or numbers of bits.
"""

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.errors import InputError

Shape = tuple[int, int, int]
# Functions of `activation` nodes; those of "relu" take options.
ACTIVATIONS = (
    "relu",
    "sigmoid",
    "tanh",
    "silu",
    "elu",
    "hard_sigmoid",
    "hard_silu",
)


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """An operation.

    Attributes:
        kind: String, one of `KINDS`.
        name: String, for messages and tables.
        inputs: Tuple of the values that go in.
        output: Integer, the value that comes out.
        options: Dict of what JSON can hold, see `KINDS`.
        arrays: Dict of float32 arrays, see `KINDS`.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    output: int
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A network.

    Attributes:
        inputs: Tuple of values, the inputs.
        outputs: Tuple of values, the outputs.
        nodes: Tuple of `Node`, each after those that it needs.
        shapes: Dict of every value to its shape.
        ranges: Dict of every value to its least and largest number if the
            network is quantized, else `None`.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    nodes: tuple[Node, ...]
    shapes: dict[int, Shape]
    ranges: dict[int, tuple[float, float]] | None = None


def connect(
    inputs: dict[int, Shape], outputs: Sequence[int], nodes: Sequence[Node]
) -> Graph:
    """Make a graph; check it and find the shape of every value.

    Args:
        inputs: Dict of the input values to their shapes.
        outputs: Sequence of values.
        nodes: Sequence of `Node`, each after those that it needs.

    Returns:
        `Graph`.

    Raises:
        InputError: If a node is unknown, or its inputs or arrays do not fit.
    """
    shapes = dict(inputs)
    for node in nodes:
        try:
            shape = KINDS[node.kind](node, *(shapes[n] for n in node.inputs))
        except (IndexError, KeyError, TypeError, ValueError) as error:
            shape = None
            reason = f"{type(error).__name__}: {error}"
        else:
            reason = f"{[shapes[n] for n in node.inputs]} as inputs"
        if shape is None or min(shape) < 1 or node.output in shapes:
            raise InputError(
                f"Node {node.name!r} must be a {node.kind!r} that fits its "
                f"inputs. Received: {reason}"
            )
        shapes[node.output] = shape
    if missing := [value for value in outputs if value not in shapes]:
        raise InputError(
            f"Outputs must be values of nodes. Received: {missing}"
        )
    return Graph((*inputs,), (*outputs,), (*nodes,), shapes)


def window(
    shape: Shape,
    size: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[Sequence[int]],
    dilation: Sequence[int] = (1, 1),
) -> tuple[int, int]:
    """Return how many places a window has along height and width."""
    height, width = (
        (side + sum(pad) - (one - 1) * step - 1) // stride + 1
        for side, one, stride, pad, step in zip(
            shape[:2], size, strides, padding, dilation, strict=True
        )
    )
    return height, width


def _convolution(node: Node, source: Shape) -> Shape | None:
    kernel, options = node.arrays["kernel"], node.options
    height, width, inputs, outputs = kernel.shape
    groups = options["groups"]
    if inputs * groups != source[2] or outputs % groups:
        return None
    if node.arrays["bias"].shape != (outputs,):
        return None
    sides = window(
        source,
        (height, width),
        options["strides"],
        options["padding"],
        options["dilation"],
    )
    return (*sides, outputs)


def _scale(node: Node, source: Shape) -> Shape | None:
    fits = {node.arrays[name].shape for name in ("scale", "shift")}
    return source if fits == {source[2:]} else None


def _activation(node: Node, source: Shape) -> Shape | None:
    return source if node.options["function"] in ACTIVATIONS else None


def _add(node: Node, *sources: Shape) -> Shape | None:
    return sources[0] if len({*sources}) == 1 else None


def _concatenate(node: Node, *sources: Shape) -> Shape | None:
    if len({source[:2] for source in sources}) != 1:
        return None
    return (*sources[0][:2], sum(source[2] for source in sources))


def _pool(node: Node, source: Shape) -> Shape | None:
    options = node.options
    if options["function"] not in ("average", "max"):
        return None
    sides = window(
        source, options["size"], options["strides"], options["padding"]
    )
    return (*sides, source[2])


def _global_pool(node: Node, source: Shape) -> Shape | None:
    known = node.options["function"] in ("average", "max")
    return (1, 1, source[2]) if known else None


def _flatten(node: Node, source: Shape) -> Shape:
    return (1, 1, math.prod(source))


def _pad(node: Node, source: Shape) -> Shape:
    (top, bottom), (left, right) = node.options["padding"]
    height, width, channels = source
    return (height + top + bottom, width + left + right, channels)


def _softmax(node: Node, source: Shape) -> Shape:
    return source


# Every kind of node, with the function that returns its shape from those of its
# inputs, or `None` if they do not fit. Options and arrays:
#   convolution: `strides`, `padding` ((top, bottom), (left, right)),
#     `dilation`, `groups`; `kernel` (height, width, inputs / groups, outputs)
#     and `bias`. Dense layers are convolutions of one position, depthwise ones
#     have as many groups as channels.
#   scale: `scale` and `shift` of each channel, as batch normalization has.
#   activation: `function`; of "relu" `slope` below `threshold` and the `limit`
#     above, which may be `None`.
#   add, concatenate: along channels.
#   pool: `function` "max" or "average", `size`, `strides`, `padding`, which
#     takes no part in either.
#   global_pool: `function`, over all positions.
#   flatten: to one position, channels innermost.
#   pad: with zeros, `padding`.
#   softmax: over channels.
KINDS: dict[str, Callable[..., Shape | None]] = {
    "convolution": _convolution,
    "scale": _scale,
    "activation": _activation,
    "add": _add,
    "concatenate": _concatenate,
    "pool": _pool,
    "global_pool": _global_pool,
    "flatten": _flatten,
    "pad": _pad,
    "softmax": _softmax,
}
