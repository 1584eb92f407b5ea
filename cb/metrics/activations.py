"""Activations between the layers of any Keras model, chosen from a trace."""

from collections.abc import Iterable
from typing import NamedTuple

import keras
import tensorflow as tf

from cb.layers.calls import RecordedCall
from cb.layers.computed_kernels import cells
from cb.layers.computed_kernels import has_kernels


def outside_of_loops(
    layers: Iterable[keras.layers.Layer],
) -> list[keras.layers.Layer]:
    """Leave out the layers that a recurrent layer calls at each step."""
    layers = list(layers)
    inside = {id(cell) for layer in layers for cell in cells(layer)}
    return [layer for layer in layers if id(layer) not in inside]


def _inputs(call: RecordedCall) -> list[tf.Tensor]:
    # Others are masks and initial states.
    recurrent = isinstance(call.layer, keras.layers.RNN)
    return call.inputs[:1] if recurrent else call.inputs


class Activation(NamedTuple):
    """A tensor of activations that is recorded.

    Attributes:
        name: String, the layer that computes it.
        tensor: Symbolic tensor `(batch, ...)`.
        consumers: List of the layers whose kernels are multiplied by it
            next.
    """

    name: str
    tensor: tf.Tensor
    consumers: list[keras.layers.Layer]


def hidden_activations(calls: list[RecordedCall]) -> list[Activation]:
    """Return the inputs of layers with kernels, except for the data itself.

    Args:
        calls: List of `RecordedCall` of one trace.

    Returns:
        List of `Activation` in the order of the first consumers.
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
        for tensor in _inputs(call):
            if ends & set(_ancestors(tensor, ends)):
                tensor, name = _producer(tensor, producers)
                name = name or f"{call.layer.name}_input"
                found.setdefault(tensor.name, (name, tensor))
    return _with_consumers(found.values(), kernel_calls)


def layer_outputs(
    calls: list[RecordedCall], layers: Iterable[str]
) -> list[Activation]:
    """Return the first outputs of the named layers.

    Args:
        calls: List of `RecordedCall` of one trace.
        layers: Names of layers.

    Returns:
        List of `Activation` in the order of the calls.
    """
    layers = set(layers)
    chosen = [
        (call.layer.name, call.outputs[0])
        for call in calls
        if call.layer.name in layers and call.outputs
    ]
    return activations_of(chosen, calls)


def activations_of(
    named_tensors: Iterable[tuple[str, tf.Tensor]], calls: list[RecordedCall]
) -> list[Activation]:
    """Describe some tensors of a trace.

    Args:
        named_tensors: Tuples of a name and a symbolic tensor.
        calls: List of `RecordedCall` of the trace.

    Returns:
        List of `Activation` in the same order.
    """
    kernel_calls = [call for call in calls if has_kernels(call.layer)]
    return _with_consumers(named_tensors, kernel_calls)


def _with_consumers(
    named_tensors, kernel_calls: list[RecordedCall]
) -> list[Activation]:
    ends = _names(kernel_calls)
    reached = [
        (call.layer, {n for t in _inputs(call) for n in _ancestors(t, ends)})
        for call in kernel_calls
    ]
    times: dict[str, int] = {}
    activations = []
    for name, tensor in named_tensors:
        times[name] = times.get(name, 0) + 1
        # A shared layer has an output for each of its calls.
        label = name if times[name] == 1 else f"{name}/{times[name]}"
        consumers = [layer for layer, names in reached if tensor.name in names]
        activations.append(Activation(label, tensor, consumers))
    return activations


def _names(calls: list[RecordedCall]) -> set[str]:
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
