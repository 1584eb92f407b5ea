"""Networks run by NumPy, slowly: what the compiled engine must compute."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cb.engine.graph import Graph
from cb.engine.graph import Node
from cb.engine.graph import window


def run(graph: Graph, *inputs: np.ndarray) -> list[np.ndarray]:
    """Run a network in float64.

    Args:
        graph: `Graph`.
        *inputs: Arrays `(examples, height, width, channels)`.

    Returns:
        List of float64 arrays of the same form, one for each output.
    """
    values = values_of(graph, *inputs)
    return [values[number] for number in graph.outputs]


def values_of(graph: Graph, *inputs: np.ndarray) -> dict[int, np.ndarray]:
    """Run a network as `run` does; return all values by number."""
    values = {
        number: np.asarray(x, "float64")
        for number, x in zip(graph.inputs, inputs, strict=True)
    }
    for node in graph.nodes:
        sources = [values[number] for number in node.inputs]
        values[node.output] = _FUNCTIONS[node.kind](node, *sources)
    return values


def _windows(x, size, strides, padding, dilation=(1, 1), fill=0.0):
    """Yield the part of an image under each place of a window."""
    places = window(x.shape[1:], size, strides, padding, dilation)
    x = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)
    for row in range(size[0]):
        for column in range(size[1]):
            first = row * dilation[0], column * dilation[1]
            slices = [
                slice(one, one + (count - 1) * stride + 1, stride)
                for one, count, stride in zip(
                    first, places, strides, strict=True
                )
            ]
            yield row, column, x[:, slices[0], slices[1]]


def _convolution(node: Node, x):
    kernel, options = node.arrays["kernel"].astype("float64"), node.options
    *size, inputs, outputs = kernel.shape
    groups = options["groups"]
    total: Any = node.arrays["bias"].astype("float64")
    for row, column, part in _windows(
        x, size, options["strides"], options["padding"], options["dilation"]
    ):
        split = part.reshape(-1, groups, inputs).swapaxes(0, 1)
        matrices = kernel[row, column].reshape(inputs, groups, -1)
        products = (split @ matrices.swapaxes(0, 1)).swapaxes(0, 1)
        total = total + products.reshape(*part.shape[:3], outputs)
    return total


def activate(options: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return the values of an `activation` node."""
    name = options["function"]
    if name == "relu":
        slope, threshold = options["slope"], options["threshold"]
        y = np.where(x < threshold, slope * (x - threshold), x)
        limit = options["limit"]
        return y if limit is None else np.minimum(y, limit)
    return _ELEMENTWISE[name](x)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


_ELEMENTWISE: dict[str, Callable] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "silu": lambda x: x * _sigmoid(x),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": lambda x: x * _hard_sigmoid(x),
}


def _scale(node: Node, x):
    return x * node.arrays["scale"] + node.arrays["shift"]


def _pool(node: Node, x):
    options = node.options
    where = options["size"], options["strides"], options["padding"]
    if options["function"] == "max":
        return np.max([w for *_, w in _windows(x, *where, fill=-np.inf)], 0)
    ones = np.ones_like(x)
    counts = sum(w for *_, w in _windows(ones, *where))
    return sum(w for *_, w in _windows(x, *where)) / counts


def _global_pool(node: Node, x):
    pool = np.max if node.options["function"] == "max" else np.mean
    return pool(x, (1, 2), keepdims=True)


def _softmax(node: Node, x):
    y = np.exp(x - x.max(-1, keepdims=True))
    return y / y.sum(-1, keepdims=True)


_FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "convolution": _convolution,
    "scale": _scale,
    "activation": lambda node, x: activate(node.options, x),
    "add": lambda node, *sources: sum(sources),
    "concatenate": lambda node, *sources: np.concatenate(sources, -1),
    "pool": _pool,
    "global_pool": _global_pool,
    "flatten": lambda node, x: x.reshape(len(x), 1, 1, -1),
    "pad": lambda node, x: np.pad(
        x, ((0, 0), *node.options["padding"], (0, 0))
    ),
    "softmax": _softmax,
}
