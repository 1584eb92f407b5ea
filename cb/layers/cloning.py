"""Copies of a model with some layers replaced."""

from collections.abc import Callable

import keras

from cb.errors import InputError
from cb.layers.traversal import ordered_layers


def clone(
    model: keras.Model,
    replace: Callable[[keras.layers.Layer], keras.layers.Layer | None],
) -> keras.Model:
    """Copy a model and its variables, with other layers in some places.

    Args:
        model: Keras model, Sequential or functional, built.
        replace: Callable from a layer to the new layer for its place, or to
            `None` for a copy of itself. A new layer has the variables of the
            old one, in the same order; what only one of them has comes last.

    Returns:
        A Keras model without an optimizer.

    Raises:
        InputError: If the model cannot be cloned.
    """

    def clone_layer(layer):
        new = replace(layer)
        return (
            type(layer).from_config(layer.get_config()) if new is None else new
        )

    try:
        copy = keras.models.clone_model(
            model, clone_function=clone_layer, recursive=True
        )
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"Model {model.name!r} cannot be cloned. Expected a Sequential "
            f"or functional model. Received: {type(model).__name__} "
            f"({error})"
        ) from error
    if not copy.built:
        copy.build(model.input_shape)
    for old, new in zip(
        ordered_layers(model), ordered_layers(copy), strict=True
    ):
        _copy_variables(old, new)
    return copy


def _copy_variables(old, new) -> None:
    for name in ("_trainable_variables", "_non_trainable_variables"):
        pairs = zip(getattr(old, name), getattr(new, name), strict=False)
        for source, target in pairs:
            target.assign(source)
    for source, target in zip(
        old._seed_generators, new._seed_generators, strict=True
    ):
        target.state.assign(source.state)
