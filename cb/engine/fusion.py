"""Fusion: from the nodes of a graph to the steps that run.

Whatever is linear in each position is a product: a convolution, but also a
scale, an addition, a copy to the place of a concatenation. A product does what
follows it when it writes: the addition of a branch, an activation, and a second
output that is scaled, as batch normalization before the next layer needs it.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.engine.graph import Graph
from cb.engine.graph import Node
from cb.engine.graph import Shape

# Options of a convolution of single positions.
PLAIN = {
    "strides": (1, 1),
    "padding": ((0, 0), (0, 0)),
    "dilation": (1, 1),
    "groups": 1,
}
_WRITTEN = ("add", "scale", "activation", "concatenate", "pad")


@dataclasses.dataclass(eq=False)
class Product:
    """Sums of weighted inputs at each position.

    Attributes:
        name: String, that of the node.
        source: Integer, the value that is read.
        kernel: Float array `(height, width, inputs / groups, outputs)`.
        bias: Float array `(outputs,)`.
        options: Dict, those of a "convolution".
        target: Integer, the value that is written, or `None` if only the
            second output is needed.
        branch: Integer, a value to add, or `None`.
        place: Integer, the channel of the target that the outputs begin at.
        second: Integer, the value of the second output, or `None`.
        scale: Float array `(outputs,)`, factors of the second output.
        shift: Float array `(outputs,)`, added to it.
        activation: Dict, options of the "activation" of the second output if
            there is one, else of the target; `None` for none.
    """

    name: str
    source: int
    kernel: np.ndarray
    bias: np.ndarray
    options: dict[str, Any]
    target: int | None
    branch: int | None = None
    place: int = 0
    second: int | None = None
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None
    activation: dict[str, Any] | None = None

    @property
    def outputs(self) -> list[int]:
        """The values that are written, the last one with the activation."""
        return [v for v in (self.target, self.second) if v is not None]


Step = Product | Node


@dataclasses.dataclass(frozen=True, eq=False)
class Fused:
    """What runs.

    Attributes:
        steps: List of `Product` and of nodes of other kinds, in order.
        inputs: Tuple of values.
        outputs: Tuple of values.
        shapes: Dict of every value to its shape.
    """

    steps: list[Step]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: dict[int, Shape]


def fuse(graph: Graph) -> Fused:
    """Return the steps that compute a graph."""
    graph = _flat(graph)
    nodes = _padded(graph)
    return _Fusion(graph, nodes).run()


def _users(graph: Graph, nodes: Sequence[Node]) -> dict[int, list[Node | None]]:
    """Return the nodes that use each value, `None` for an output."""
    users: dict[int, list[Node | None]] = collections.defaultdict(list)
    for node in nodes:
        for value in node.inputs:
            users[value].append(node)
    for value in graph.outputs:
        users[value].append(None)
    return users


def _flat(graph: Graph) -> Graph:
    """Let inputs be vectors where all that comes of them is flattened.

    Their numbers are in that order already.
    """
    users, shapes = _users(graph, graph.nodes), dict(graph.shapes)
    scaled: dict[Node, Node] = {}
    for value in graph.inputs:
        values, nodes = [value], []
        while len(users[values[-1]]) == 1:
            (node,) = users[values[-1]]
            if node is None or node.kind not in ("scale", "activation"):
                break
            nodes.append(node)
            values.append(node.output)
        if any(
            one is None or one.kind != "flatten" for one in users[values[-1]]
        ):
            continue
        height, width, channels = shapes[value]
        shapes |= dict.fromkeys(values, (1, 1, height * width * channels))
        for node in nodes:
            # Channels are innermost.
            arrays = {
                name: np.tile(array, height * width)
                for name, array in node.arrays.items()
            }
            scaled[node] = dataclasses.replace(node, arrays=arrays)
    changed = tuple(scaled.get(node, node) for node in graph.nodes)
    return dataclasses.replace(graph, nodes=changed, shapes=shapes)


def _padded(graph: Graph) -> list[Node]:
    """Let convolutions pad where only they use what a "pad" returns."""
    users = _users(graph, graph.nodes)
    pads: dict[int, Node] = {}
    nodes = []
    for node in graph.nodes:
        if node.kind == "pad" and all(
            user is not None and user.kind == "convolution"
            for user in users[node.output]
        ):
            pads[node.output] = node
            continue
        if node.kind == "convolution" and node.inputs[0] in pads:
            pad = pads[node.inputs[0]]
            padding = tuple(
                (one + other, last + end)
                for (one, last), (other, end) in zip(
                    node.options["padding"],
                    pad.options["padding"],
                    strict=True,
                )
            )
            options = {**node.options, "padding": padding}
            node = dataclasses.replace(node, inputs=pad.inputs, options=options)
        nodes.append(node)
    return nodes


class _Fusion:
    def __init__(self, graph: Graph, nodes: list[Node]):
        self._graph = graph
        self._nodes = nodes
        self._users = _users(graph, nodes)
        self._shapes = dict(graph.shapes)
        self._done: set[Node] = set()
        self._made = {*graph.inputs}
        # Values that are others under another number.
        self._same: dict[int, int] = {}
        self._steps: list[Step] = []

    def run(self) -> Fused:
        for node in self._nodes:
            if node in self._done:
                continue
            if node.kind == "flatten" and self._is_vector(node.inputs[0]):
                self._same[node.output] = self._known(node.inputs[0])
                self._made.add(node.output)
            elif node.kind == "convolution":
                self._product(node, node.arrays["kernel"], node.arrays["bias"])
            elif node.kind in _WRITTEN:
                getattr(self, f"_{node.kind}")(node)
            else:
                inputs = (*map(self._known, node.inputs),)
                self._steps.append(dataclasses.replace(node, inputs=inputs))
                self._made.add(node.output)
        outputs = (*map(self._known, self._graph.outputs),)
        return Fused(self._steps, self._graph.inputs, outputs, self._shapes)

    def _known(self, value: int) -> int:
        return self._same.get(value, value)

    def _is_vector(self, value: int) -> bool:
        return self._shapes[value][:2] == (1, 1)

    def _product(self, node, kernel, bias, **given) -> None:
        """Append a product, and all that it can do when it writes."""
        options = {**PLAIN, **given.pop("options", node.options)}
        source = self._known(given.pop("source", node.inputs[0]))
        product = Product(
            node.name, source, kernel, bias, options, node.output, **given
        )
        self._steps.append(product)
        self._extend(product)
        self._made.update(product.outputs)

    def _each(self, node, channels, **given) -> None:
        """Append a product that copies each channel."""
        ones = np.ones((1, 1, 1, channels), "float32")
        options = {"groups": channels, **given.pop("options", {})}
        zeros = np.zeros(channels, "float32")
        self._product(node, ones, zeros, options=options, **given)

    def _scale(self, node: Node) -> None:
        scale, shift = node.arrays["scale"], node.arrays["shift"]
        options = {"groups": len(scale)}
        self._product(node, scale[None, None, None], shift, options=options)

    def _activation(self, node: Node) -> None:
        channels = self._shapes[node.output][2]
        self._each(node, channels, activation=node.options)

    def _pad(self, node: Node) -> None:
        self._each(node, self._shapes[node.output][2], options=node.options)

    def _add(self, node: Node) -> None:
        shape = self._shapes[node.output]
        branch, *others = node.inputs
        for number, source in enumerate(others, 1):
            part = node
            if number < len(others):
                part = dataclasses.replace(node, output=max(self._shapes) + 1)
                self._shapes[part.output] = shape
            branch = self._known(branch)
            self._each(part, shape[2], source=source, branch=branch)
            branch = part.output

    def _concatenate(self, node: Node) -> None:
        place = 0
        for source in node.inputs:
            channels = self._shapes[source][2]
            # What follows needs all parts.
            self._done.update(self._users_of(node.output))
            self._each(node, channels, source=source, place=place)
            place += channels
        self._done.difference_update(self._users_of(node.output))

    def _users_of(self, value) -> list[Node]:
        return [user for user in self._users[value] if user is not None]

    def _only(self, value: int) -> Node | None:
        """Return the only user of a value, unless it has been dealt with."""
        users = self._users[value]
        user = users[0] if len(users) == 1 else None
        return None if user in self._done else user

    def _extend(self, product: Product) -> None:
        while product.activation is None and product.target is not None:
            user = self._only(product.target)
            if user is None or not self._absorb(product, user):
                break
            self._done.add(user)
            product.target = user.output
        if product.activation is None:
            self._write_twice(product)

    def _absorb(self, product: Product, user: Node) -> bool:
        """Let a product do the only node that uses it, if it can."""
        if user.kind == "activation":
            product.activation = user.options
            return True
        if user.kind == "scale" and product.branch is None:
            scale, shift = user.arrays["scale"], user.arrays["shift"]
            product.kernel = product.kernel * scale
            product.bias = product.bias * scale + shift
            return True
        if user.kind == "add" and len(user.inputs) == 2:
            others = [v for v in user.inputs if v != product.target]
            if product.branch is None and others and others[0] in self._made:
                product.branch = self._known(others[0])
                return True
        return False

    def _write_twice(self, product: Product) -> None:
        """Let a product scale or activate for one of several users."""
        (value,) = product.outputs
        users = [
            user
            for user in self._users_of(value)
            if user not in self._done and user.kind in ("scale", "activation")
        ]
        if not users or product.place:
            return
        user = min(users, key=lambda one: one.kind == "activation")
        channels = len(product.bias)
        product.second = user.output
        product.scale = user.arrays.get("scale", np.ones(channels, "float32"))
        product.shift = user.arrays.get("shift", np.zeros(channels, "float32"))
        self._done.add(user)
        if user.kind == "activation":
            product.activation = user.options
        else:
            after = self._only(user.output)
            if after is not None and after.kind == "activation":
                product.activation = after.options
                product.second = after.output
                self._done.add(after)
        if len(self._users[value]) == 1:
            product.target = None
