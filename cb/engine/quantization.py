"""Quantization: from a graph and the ranges of its values to bytes.

Weights are int8, with a scale for each output. A value has a scale and a zero
point, the byte that stands for 0: 0 after ReLU, and in the middle for what has
both signs, so that what is unsigned times what is signed is all that is needed.
"""

import dataclasses
from typing import Any

import numpy as np

from cb.engine.calibration import quantize_kernel
from cb.engine.fusion import Fused
from cb.engine.fusion import Product as Fusion
from cb.engine.fusion import fuse
from cb.engine.graph import Graph
from cb.engine.graph import Node
from cb.engine.int8_operations import GlobalPool
from cb.engine.int8_operations import LookUp
from cb.engine.int8_operations import MaxPool
from cb.engine.int8_operations import Operation
from cb.engine.int8_operations import Operations
from cb.engine.int8_operations import Product
from cb.engine.int8_operations import Quantize
from cb.engine.int8_operations import Window
from cb.engine.reference import activate
from cb.errors import InputError


@dataclasses.dataclass(frozen=True)
class _Code:
    """What the bytes of a value stand for."""

    scale: float
    zero: int

    def encode(self, x: np.ndarray) -> np.ndarray:
        y = np.rint(x / self.scale + self.zero)
        return np.clip(y, 0, 255).astype("uint8")


def quantize(graph: Graph) -> Operations:
    """Return the operations on bytes that compute a network.

    Args:
        graph: `Graph` with one input and one output, its scales folded, and
            with ranges. A softmax at the end is left to floats.

    Returns:
        `Operations`.

    Raises:
        InputError: If there is no form in bytes for a node.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise InputError(
            "A network must have one input and one output to be quantized. "
            f"Received: {len(graph.inputs)} and {len(graph.outputs)}"
        )
    return _Quantization(graph).run()


class _Quantization:
    def __init__(self, graph: Graph):
        self._graph = graph
        self._fused: Fused = fuse(graph)
        self._ranges = dict(graph.ranges or {})
        self._shapes = dict(self._fused.shapes)
        self._codes: dict[int, _Code] = {}
        # Vectors that are an image in another order.
        self._flat: dict[int, int] = {}
        self._operations: list[Operation] = []
        self._softmax = False

    def run(self) -> Operations:
        """Return all operations."""
        steps = [*self._fused.steps]
        (source,), (result,) = self._fused.inputs, self._fused.outputs
        last = steps[-1] if steps else None
        if isinstance(last, Node) and last.kind == "softmax":
            self._softmax = True
            steps.pop()
            (result,) = last.inputs
        code = self._code(source)
        factor = np.float32(1 / code.scale)
        self._operations.append(Quantize(source, factor, code.zero))
        for number, step in enumerate(steps):
            if not isinstance(step, Fusion):
                self._node(step)
            elif number == len(steps) - 1 and self._plain(step, result):
                self._product(step, floats=True)
                return self._all(source, result)
            else:
                self._product(step)
        self._product(self._copy(result, None), floats=True)
        return self._all(source, result)

    def _all(self, source, result) -> Operations:
        used = {
            value
            for one in self._operations
            for name in ("source", "target", "residual", "second")
            if (value := getattr(one, name, None)) is not None
        }
        shapes = {value: self._shapes[value] for value in used}
        operations = (*self._operations,)
        shape = self._shapes[source], self._shapes[result]
        return Operations(*shape, shapes, operations, self._softmax)

    def _plain(self, step: Fusion, result: int) -> bool:
        """Return whether a product is the whole output, and nothing else."""
        # The last part of a concatenation has the same target as the others.
        whole = len(step.bias) == self._shapes[result][2]
        plain = step.second is step.activation is None
        return whole and plain and step.target == result

    def _copy(self, source: int, target: int | None) -> Fusion:
        channels = self._shapes[source][2]
        ones = np.ones((1, 1, 1, channels), "float32")
        options = {
            "strides": (1, 1),
            "padding": ((0, 0), (0, 0)),
            "dilation": (1, 1),
            "groups": channels,
        }
        bias = np.zeros(channels, "float32")
        return Fusion("copy", source, ones, bias, options, target)

    def _code(self, value: int) -> _Code:
        """Return what the bytes of a value stand for."""
        if value not in self._codes:
            low, high = self._ranges[value]
            # Zero is what lies around an image.
            low, high = min(low, 0.0), max(high, 0.0)
            scale = (high - low) / 255 or 1.0
            self._codes[value] = _Code(scale, round(-low / scale))
        return self._codes[value]

    def _fresh(self, shape, limits) -> int:
        """Return a new value."""
        value = max(self._shapes) + 1
        self._shapes[value] = shape
        self._ranges[value] = limits
        return value

    def _product(self, step: Fusion, floats: bool = False) -> None:
        """Append a product, and the table of its activation."""
        if step.place % 4 and step.target is not None:
            # Four channels are written at a time. What is not at the beginning
            # of its target is a part of a concatenation, a copy.
            if step.source in self._flat:
                raise _unknown(step.name, "reads what is flattened")
            self._requantize(step.source, step.target, step.place)
            return
        step, window = self._unflattened(step)
        source, branch = self._code(step.source), step.branch
        weights, scales = quantize_kernel(step.kernel)
        factor = source.scale * scales
        sums = weights.sum((0, 1, 2), dtype="int64")
        shift = step.bias - source.zero * factor * sums
        if 255 * np.abs(weights.astype("int64")).sum((0, 1, 2)).max() >= 2**31:
            raise InputError(
                f"Node {step.name!r} must have sums of fewer than 2**31. "
                f"Received: a kernel of shape {weights.shape}"
            )
        given: dict[str, Any] = {}
        if branch is not None:
            other = self._code(branch)
            shift = shift - other.zero * other.scale
            given = {"residual": branch, "residual_factor": other.scale}
        target = None if floats else self._target(step)
        second: Any = step.second
        tables = self._tables(step)
        if target is None:
            code = _Code(1.0, 0)
        else:
            target = tables.get(target, target)
            code = self._code(target)
            second = tables.get(second, second)
        if "residual_factor" in given:
            given["residual_factor"] = np.float32(other.scale / code.scale)
        if second is not None:
            # Of channels: factors and what is added.
            scales, shifts = np.asarray(step.scale), np.asarray(step.shift)
            to = self._code(second)
            ratio = scales / to.scale
            back = shifts / to.scale - code.zero * code.scale * ratio
            given["second"] = second
            given["second_multiplier"] = _single(code.scale * ratio)
            given["second_shift"] = _single(back + to.zero)
        self._operations.append(
            Product(
                step.source,
                target,
                weights,
                step.options["groups"],
                window,
                source.zero,
                _single(factor / code.scale),
                _single(shift / code.scale + code.zero),
                first=step.place,
                **given,
            )
        )
        for value, before in tables.items():
            self._look_up(step.activation, before, value)

    def _requantize(self, source: int, target: int, first: int) -> None:
        """Append a copy of a value to some channels of another."""
        before, after = self._code(source), self._code(target)
        x = before.scale * (np.arange(256) - before.zero)
        one = LookUp(source, target, after.encode(x), first)
        self._operations.append(one)

    def _target(self, step: Fusion) -> Any:
        """Return the value that a product writes first."""
        target: Any = step.target
        if target is None and step.second is not None:
            # Only the second output is needed; the first has bytes too.
            return self._fresh(self._shapes[step.second], (-127.0, 128.0))
        if target not in self._ranges and step.branch is not None:
            # A part of a sum of several values.
            parts = [self._ranges[v] for v in (step.source, step.branch)]
            low, high = map(sum, zip(*parts, strict=True))
            self._ranges[target] = low, high
        return target

    def _tables(self, step: Fusion) -> dict[int, int]:
        """Return the value before an activation that limits do not make."""
        options = step.activation
        if options is None or _is_limit(options):
            return {}
        value: Any = step.target if step.second is None else step.second
        (node,) = (
            one
            for one in self._graph.nodes
            if one.kind == "activation" and one.output == value
        )
        limits = self._ranges[node.inputs[0]]
        return {value: self._fresh(self._shapes[value], limits)}

    def _look_up(self, options, source: int, target: int) -> None:
        before, after = self._code(source), self._code(target)
        x = before.scale * (np.arange(256) - before.zero)
        table = after.encode(activate(options, x))
        self._operations.append(LookUp(source, target, table))

    def _unflattened(self, step: Fusion) -> tuple[Fusion, Window]:
        """Return a product that reads an image and not its flat form."""
        kernel, options = step.kernel, step.options
        window = Window(
            kernel.shape[:2],
            options["strides"],
            options["padding"],
            options["dilation"],
        )
        if step.branch in self._flat:
            raise _unknown(step.name, "adds what is flattened")
        if step.source not in self._flat:
            return step, window
        if window != Window() or options["groups"] != 1:
            raise _unknown(step.name, "reads what is flattened")
        image = self._flat[step.source]
        height, width, channels = self._shapes[image]
        kernel = kernel.reshape(height, width, channels, -1)
        step = dataclasses.replace(step, source=image, kernel=kernel)
        return step, Window((height, width))

    def _node(self, node: Node) -> None:
        """Append the operation of a node that is no product."""
        (source,), options = node.inputs, node.options
        function = options.get("function")
        if source in self._flat:
            raise _unknown(node.name, f"{node.kind} of what is flattened")
        if node.kind == "flatten":
            self._flat[node.output] = source
        elif function == "max":
            self._codes[node.output] = self._code(source)
            if node.kind == "pool":
                one = MaxPool(source, node.output, _window(options))
                self._operations.append(one)
            else:
                zero = np.float32(0)
                self._operations.append(
                    GlobalPool(source, node.output, "max", zero, zero)
                )
        elif node.kind == "global_pool":
            before, after = self._code(source), self._code(node.output)
            height, width, _ = self._shapes[source]
            ratio = before.scale / after.scale
            self._operations.append(
                GlobalPool(
                    source,
                    node.output,
                    "average",
                    np.float32(ratio / (height * width)),
                    np.float32(after.zero - before.zero * ratio),
                )
            )
        elif node.kind == "pool" and not np.any(options["padding"]):
            copy = self._copy(source, node.output)
            shape = (*options["size"], 1, 1)
            copy.kernel = np.tile(copy.kernel, shape) / np.prod(shape)
            copy.options |= {"strides": options["strides"]}
            self._product(copy)
        else:
            raise _unknown(node.name, f"{node.kind} here, or with padding")


def _is_limit(options) -> bool:
    """Return whether an activation is made by the limits of bytes."""
    names = ("slope", "threshold")
    return options["function"] == "relu" and not any(
        options[name] for name in names
    )


def _single(values) -> np.ndarray:
    return np.asarray(values, "float32")


def _window(options) -> Window:
    return Window(options["size"], options["strides"], options["padding"])


def _unknown(name: str, reason: str) -> InputError:
    return InputError(
        f"Node {name!r} must have a form in bytes to be quantized. Received: "
        f"{reason}"
    )
