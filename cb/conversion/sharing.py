"""Kernels that layers read which do not own them."""

from collections.abc import Iterator
from collections.abc import Sequence

import keras

from cb.errors import InputError
from cb.layers.registration import masked_class
from cb.layers.traversal import ordered_layers
from cb.layers.traversal import own_variables


def require_own_kernels(
    model: keras.Model, chosen: Sequence[keras.layers.Layer]
) -> None:
    """Refuse to mask kernels that others would go on reading without masks.

    A layer that holds another layer, and reads its attribute `kernel`, obeys
    the mask.

    Args:
        model: Keras model, dense.
        chosen: List of the layers to mask, those inside them included.

    Raises:
        InputError: If a layer or operation of the model reads such a kernel.
    """
    owners = {
        id(getattr(layer, name)): (layer, outer)
        for outer in chosen
        for layer in outer._flatten_layers()
        if (masked := masked_class(type(layer))) and layer.built
        for name in masked.masked_weights
    }
    for reader, variable in _readings(model):
        owner, outer = owners.get(id(variable), (reader, reader))
        if owner is not reader:
            raise InputError(
                f"Layers {owner.name!r} and {reader.name!r} share the kernel "
                f"{variable.path!r}, and only {owner.name!r} would obey its "
                f"mask. Expected `exclude={outer.name!r}`, or that "
                f"{reader.name!r} holds layer {owner.name!r} and reads its "
                f"`kernel`. Received: {type(owner).__name__} and "
                f"{type(reader).__name__}"
            )


def _readings(
    model,
) -> Iterator[tuple[keras.Operation, keras.Variable]]:
    """Yield the variables that layers hold or that calls are given."""
    for layer in ordered_layers(model):
        for variable in own_variables(layer):
            yield layer, variable
        graph = getattr(layer, "_functional", layer)
        for nodes in getattr(graph, "_nodes_by_depth", {}).values():
            for node in nodes:
                arguments = (node.arguments.args, node.arguments.kwargs)
                for leaf in keras.tree.flatten(arguments):
                    if isinstance(leaf, keras.Variable):
                        yield node.operation, leaf
