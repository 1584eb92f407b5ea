"""What flows between the layers of any Keras model, seen while tracing."""

import contextlib
from collections.abc import Iterable
from collections.abc import Iterator
from typing import NamedTuple

import keras
import tensorflow as tf

from cb.layers.calls import intercepted
from cb.layers.masked import ordered_layers
from cb.metrics.amplitudes import has_kernels


class Call(NamedTuple):
    """One call of a layer in a traced function.

    Attributes:
        layer: The Keras layer.
        inputs: List of symbolic tensors.
        outputs: List of symbolic tensors.
    """

    layer: keras.layers.Layer
    inputs: list[tf.Tensor]
    outputs: list[tf.Tensor]


class Point(NamedTuple):
    """A place in a model where activations are recorded.

    Attributes:
        name: String, the layer whose output it is.
        activations: Symbolic tensor `(batch, ...)`.
        consumers: List of the layers whose kernels meet the activations
            next.
    """

    name: str
    activations: tf.Tensor
    consumers: list[keras.layers.Layer]


@contextlib.contextmanager
def taps(model: keras.Model) -> Iterator[list[Call]]:
    """Note every call of a layer, nested ones too, while tracing.

    Args:
        model: Keras model.

    Yields:
        List of `Call`, filled in the order in which the calls end.
    """
    calls: list[Call] = []

    def tapped(layer, call):
        def noted(*args, **kwargs):
            outputs = call(*args, **kwargs)
            calls.append(
                Call(layer, _tensors((args, kwargs)), _tensors(outputs))
            )
            return outputs

        return noted

    layers = [layer for layer in ordered_layers(model) if layer is not model]
    with intercepted(layers, tapped):
        yield calls


def _tensors(structure) -> list[tf.Tensor]:
    return [
        tensor
        for tensor in keras.tree.flatten(structure)
        if isinstance(tensor, tf.Tensor)
    ]


def hidden_points(calls: list[Call]) -> list[Point]:
    """Return the activations that kernels meet, but for the data itself.

    Args:
        calls: List of `Call` of one trace.

    Returns:
        List of `Point` in the order of the first consumers.
    """
    kernel_calls = [call for call in calls if has_kernels(call.layer)]
    ends = _names(kernel_calls)
    producers = {
        tensor.name: call.layer.name
        for call in reversed(calls)
        for tensor in call.outputs
    }
    found: dict[str, tuple[str, tf.Tensor]] = {}
    for call in kernel_calls:
        for tensor in call.inputs:
            if ends & set(_ancestors(tensor, ends)):
                tensor, name = _producer(tensor, producers)
                name = name or f"{call.layer.name}_input"
                found.setdefault(tensor.name, (name, tensor))
    return _points(found.values(), kernel_calls)


def output_points(calls: list[Call], layers: Iterable[str]) -> list[Point]:
    """Return the first outputs of the named layers.

    Args:
        calls: List of `Call` of one trace.
        layers: Names of layers.

    Returns:
        List of `Point` in the order of the calls.
    """
    layers = set(layers)
    chosen = [
        (call.layer.name, call.outputs[0])
        for call in calls
        if call.layer.name in layers and call.outputs
    ]
    return tensor_points(chosen, calls)


def tensor_points(
    named_tensors: Iterable[tuple[str, tf.Tensor]], calls: list[Call]
) -> list[Point]:
    """Return the points of some tensors of a trace.

    Args:
        named_tensors: Tuples of a name and a symbolic tensor.
        calls: List of `Call` of the trace.

    Returns:
        List of `Point` in the same order.
    """
    kernel_calls = [call for call in calls if has_kernels(call.layer)]
    return _points(named_tensors, kernel_calls)


def _points(named_tensors, kernel_calls: list[Call]) -> list[Point]:
    ends = _names(kernel_calls)
    reached = [
        (call.layer, {n for t in call.inputs for n in _ancestors(t, ends)})
        for call in kernel_calls
    ]
    times: dict[str, int] = {}
    points = []
    for name, tensor in named_tensors:
        times[name] = times.get(name, 0) + 1
        # A shared layer has an output for each of its calls.
        label = name if times[name] == 1 else f"{name}/{times[name]}"
        consumers = [layer for layer, names in reached if tensor.name in names]
        points.append(Point(label, tensor, consumers))
    return points


def _names(calls: list[Call]) -> set[str]:
    return {tensor.name for call in calls for tensor in call.outputs}


def _ancestors(tensor: tf.Tensor, ends: set[str]) -> list[str]:
    """List a tensor and what it is computed from, not beyond `ends`."""
    found: dict[str, None] = {}
    waiting = [tensor]
    while waiting:
        tensor = waiting.pop()
        if tensor.name not in found:
            found[tensor.name] = None
            if tensor.name not in ends:
                waiting.extend(tensor.op.inputs)
    return list(found)


def _producer(tensor: tf.Tensor, producers: dict[str, str]):
    """Go back over casts and reshapes to the output of a layer."""
    start = tensor
    while tensor.name not in producers:
        if tensor.op.type not in ("Cast", "Identity", "Reshape"):
            return start, None
        tensor = tensor.op.inputs[0]
    return tensor, producers[tensor.name]
