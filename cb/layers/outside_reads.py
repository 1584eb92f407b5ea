"""Refusal of copies whose functions would read the original's variables."""

import contextlib
import inspect
from collections.abc import Iterable

import keras
import tensorflow as tf
from keras.src.backend import compute_output_spec

from cb.errors import InputError
from cb.layers.attributes import overridden
from cb.layers.traversal import named_layers
from cb.layers.traversal import own_variables


def require_own_reads(
    model: keras.Model, copies: Iterable[keras.layers.Layer]
) -> None:
    """Refuse copied layers that read variables of the model copied from.

    A function, such as that of a `Lambda`, may hold a layer that no
    configuration shows. Layers of Keras alone do not.

    Args:
        model: Keras model, the original.
        copies: Layers of its copy, each called once at least.

    Raises:
        InputError: If one reads such a variable.
    """
    foreign = [layer for layer in copies if _foreign(layer)]
    if not foreign:
        return
    handles = {
        id(handle): (owner, variable)
        for owner, layer in named_layers(model)
        for variable in own_variables(layer)
        for handle in _handles(variable)
    }
    for layer in foreign:
        for read in _reads(layer):
            if read not in handles:
                continue
            owner, variable = handles[read]
            raise InputError(
                f"Layer {layer.name!r} calls a function that reads "
                f"{variable.path!r} by itself, and would read that of this "
                "model in a copy too. Expected a layer that holds layer "
                f"{owner!r} as an attribute. Received: {type(layer).__name__}. "
                "To change the model itself use `cb.sparsify_layers(model, "
                "...)`."
            )


def _handles(variable: keras.Variable) -> list:
    """List what a graph that reads a variable captures, for each replica."""
    value = variable.value
    return [one.handle for one in getattr(value, "values", [value])]


def _foreign(layer) -> bool:
    """Return whether a layer runs functions of others than Keras."""
    return bool(layer._inbound_nodes) and any(
        not _known(type(inner))
        or any(
            inspect.isfunction(value) and not _known(value)
            for value in vars(inner).values()
        )
        for inner in layer._flatten_layers()
    )


def _known(made) -> bool:
    return str(made.__module__).split(".")[0] in ("cb", "keras")


def _reads(layer) -> list[int]:
    """List the `id` of what a call of a layer takes from outside of it."""
    found: list[int] = []

    def call(*args, **kwargs):
        outputs = layer(*args, **kwargs)
        graph = tf.compat.v1.get_default_graph()
        found.extend(id(outside) for outside, _ in graph.captures)
        return outputs

    arguments = layer._inbound_nodes[0].arguments
    # Some can only be called on arrays; a symbolic call knows their shapes.
    with contextlib.suppress(Exception):
        with overridden("add_loss", [(layer, lambda *args, **kwargs: None)]):
            compute_output_spec(call, *arguments.args, **arguments.kwargs)
    return found
