"""Walks over the layers of a model in a stable order."""

import inspect

import keras
from keras.src.models.functional import Functional

# Parameters of constructors that a graph can be given to.
_OF_GRAPHS = (["inputs", "outputs", "name"], ["layers", "trainable", "name"])


def ordered_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """List all layers of a model, nested ones too, each once, in order."""
    return [layer for _, layer in named_layers(model)]


def named_layers(model: keras.Model) -> list[tuple[str, keras.layers.Layer]]:
    """List all layers of a model with names for people, each once, in order.

    Args:
        model: Keras model.

    Returns:
        List of tuples of a name and a layer. The name of a layer inside
        another layer (not inside a model) starts with that one's.
    """
    found: dict[int, tuple[str, keras.layers.Layer]] = {}

    def visit(layer, prefix):
        if id(layer) not in found:
            name = f"{prefix}{layer.name}"
            found[id(layer)] = (name, layer)
            inside = "" if isinstance(layer, keras.Model) else f"{name}/"
            for inner in layer._layers:
                visit(inner, inside)

    visit(model, "")
    return list(found.values())


def is_graph(layer: keras.layers.Layer) -> bool:
    """Return whether a layer is a Sequential or functional model."""
    return isinstance(layer, keras.Sequential | Functional)


def made_by_its_class(model: keras.Model) -> bool:
    """Return whether the class of a model makes its layers.

    A copy of the graph of such a model would lose the class; of a subclassed
    model there is no graph.
    """
    if not is_graph(model):
        return True
    found = inspect.getfullargspec(type(model).__init__)
    any_arguments = bool(found.varargs and found.varkw)
    return not any_arguments and found.args[1:] not in _OF_GRAPHS


def graph_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """List the layers in the graph of a model, each once, in order.

    Args:
        model: Keras model, Sequential or functional.

    Returns:
        List of layers: those of nested models, not those inside other layers.
    """
    found: dict[int, keras.layers.Layer] = {}

    def visit(model):
        for layer in model.layers:
            if is_graph(layer):
                visit(layer)
            else:
                found[id(layer)] = layer

    visit(model)
    return list(found.values())


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """List the variables of a layer, without those of layers inside it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]
