"""Records of every call of the layers of a model, made while tracing."""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from cb.layers.attributes import overridden


class RecordedCall(NamedTuple):
    """One call of a layer in a traced function.

    Attributes:
        layer: The Keras layer.
        inputs: List of symbolic tensors.
        outputs: List of symbolic tensors.
        first: Integer, the number of operations in the graph before the call.
        last: Integer, their number after it.
    """

    layer: keras.layers.Layer
    inputs: list[tf.Tensor]
    outputs: list[tf.Tensor]
    first: int
    last: int


@contextlib.contextmanager
def recorded_calls(
    layers: Sequence[keras.layers.Layer],
) -> Iterator[list[RecordedCall]]:
    """Record the calls of some layers in a function that is being traced.

    Unlike a second functional model this reaches into nested and subclassed
    models, and leaves nothing behind on the layers.

    Args:
        layers: Keras layers, each once.

    Yields:
        List of `RecordedCall`, filled in the order in which the calls end.
    """
    calls: list[RecordedCall] = []
    recording = [(layer, _recording(layer, calls)) for layer in layers]
    with overridden("call", recording):
        yield calls


def _recording(layer, calls: list[RecordedCall]):
    call = layer.call

    def recording(*args, **kwargs):
        graph = tf.compat.v1.get_default_graph()
        first = len(graph.get_operations())
        outputs = call(*args, **kwargs)
        last = len(graph.get_operations())
        tensors = _tensors((args, kwargs)), _tensors(outputs)
        calls.append(RecordedCall(layer, *tensors, first, last))
        return outputs

    return recording


def _tensors(structure) -> list[tf.Tensor]:
    return [
        tensor
        for tensor in keras.tree.flatten(structure)
        if isinstance(tensor, tf.Tensor)
    ]
