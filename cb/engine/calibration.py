"""Calibration: the ranges of values, and kernels as int8."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cb.engine.file import restored
from cb.engine.graph import Graph
from cb.engine.graph import Node
from cb.engine.reference import values_of

Ranges = dict[int, tuple[float, float]]
# Numbers of a batch, and of all, that percentiles of each value are of.
_SAMPLE, _ALL = 2**16, 2**20
_TOP = 127


def calibrate(
    graph: Graph, batches: Sequence[np.ndarray], percentile: float
) -> Ranges:
    """Find the range of every value of a network.

    Args:
        graph: `Graph`.
        batches: Sequence of arrays `(examples, height, width, channels)`,
            real inputs.
        percentile: Float. Half of what is left of 100 is cut off at either
            end, so that a few outliers do not make all steps coarse.

    Returns:
        Dict of each value to the least and the largest number that has a byte.
    """
    random = np.random.default_rng(0)
    samples: dict[int, list[np.ndarray]] = {}
    most = min(_SAMPLE, _ALL // len(batches))
    for batch in batches:
        for number, values in values_of(graph, batch).items():
            flat = values.ravel()
            if percentile == 100:
                # The ends alone count, and may lie anywhere.
                flat = np.array([flat.min(), flat.max()])
            elif flat.size > most:
                flat = random.choice(flat, most, replace=False)
            samples.setdefault(number, []).append(flat.astype("float32"))
    rest = (100 - percentile) / 2
    return {
        number: _range(np.concatenate(found), rest)
        for number, found in samples.items()
    }


def _range(sample: np.ndarray, rest: float) -> tuple[float, float]:
    low, high = np.percentile(sample, [rest, 100 - rest])
    return float(low), float(high)


def fold(graph: Graph) -> Graph:
    """Multiply scales into the convolutions that only they use."""
    users = [value for node in graph.nodes for value in node.inputs]
    users += graph.outputs
    nodes: dict[int, Node] = {}
    for node in graph.nodes:
        before = nodes.get(node.inputs[0])
        if (
            node.kind == "scale"
            and before is not None
            and before.kind == "convolution"
            and users.count(before.output) == 1
        ):
            scale, shift = node.arrays["scale"], node.arrays["shift"]
            kernel = before.arrays["kernel"] * scale
            bias = before.arrays["bias"] * scale + shift
            del nodes[before.output]
            node = dataclasses.replace(
                before,
                output=node.output,
                arrays={"kernel": kernel, "bias": bias},
            )
        nodes[node.output] = node
    values = {*graph.inputs, *nodes}
    shapes = {value: graph.shapes[value] for value in values}
    return dataclasses.replace(graph, nodes=(*nodes.values(),), shapes=shapes)


def quantize_kernel(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a kernel as int8, and the scale of each output."""
    scale = np.abs(kernel).max((0, 1, 2)).astype("float64") / _TOP
    scale = np.where(scale > 0, scale, 1.0)
    return np.rint(kernel / scale).astype("int8"), scale


def round_kernels(graph: Graph, ranges: Ranges) -> Graph:
    """Return a quantized graph: kernels are exactly what int8 can hold."""
    nodes = []
    for node in graph.nodes:
        if node.kind == "convolution":
            weights, scale = quantize_kernel(node.arrays["kernel"])
            arrays = {
                "kernel": weights,
                "kernel_scale": scale.astype("float32"),
            }
            arrays = {**node.arrays, **restored(arrays)}
            node = dataclasses.replace(node, arrays=arrays)
        nodes.append(node)
    return dataclasses.replace(graph, nodes=(*nodes,), ranges=ranges)
