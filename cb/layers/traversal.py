"""All layers of a model in a stable order."""

import keras


def ordered_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """List all layers of a model, nested ones too, each once, in order."""
    return [layer for _, layer in named_layers(model)]


def named_layers(
    model: keras.Model,
) -> list[tuple[str, keras.layers.Layer]]:
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
