"""Replaces classes of layers, also of those inside configurations."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any
from typing import NamedTuple

import keras

from cb.layers.copying import copy_model
from cb.layers.copying import made_from
from cb.layers.tied import TiedConv2D
from cb.layers.tied import TiedDense

TIED_CLASSES = {kind.dense_class: kind for kind in (TiedDense, TiedConv2D)}
# Regularizers that are not for kernels.
_OTHERS = (
    "activity_regularizer",
    "beta_regularizer",
    "bias_regularizer",
    "gamma_regularizer",
)


class Replacement(NamedTuple):
    """The class that takes the place of a layer's, and its arguments.

    Attributes:
        new_class: Layer class.
        arguments: Dict of the arguments that only the new class has.
        dropped: Names of arguments that only the old class has.
        regularizer: Configuration of a Keras regularizer for the kernels, or
            `None` to keep those of the layer.
    """

    new_class: type[keras.layers.Layer]
    arguments: dict[str, Any] = {}
    dropped: tuple[str, ...] = ()
    regularizer: dict[str, Any] | None = None

    def config(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the configuration of the new layer."""
        config = {k: v for k, v in config.items() if k not in self.dropped}
        config.update(self.arguments)
        if self.regularizer is not None:
            for key in config:
                if key.endswith("_regularizer") and key not in _OTHERS:
                    config[key] = self.regularizer
        return config


def dense_form(kind: Any) -> Replacement | None:
    """Return the replacement of a class by its dense class, or `None`."""
    # Not inherited: a subclass may compute something else.
    dense_class = vars(kind).get("dense_class")
    if dense_class is None:
        return None
    return Replacement(dense_class, dropped=kind.added_arguments)


def copy_with(
    model: keras.Model,
    replace: Callable[[keras.layers.Layer, type], Replacement | None],
) -> keras.Model:
    """Copy a model with other layer classes in some places.

    Layers inside a configuration (the layer in a wrapper, the cell of a
    recurrent layer) are replaced too.

    Args:
        model: Sequential or functional Keras model, built.
        replace: Function from a layer of the graph, and its class or that of
            a layer inside it, to the `Replacement`, or `None` to keep the
            class.

    Returns:
        A Keras model without an optimizer.

    Raises:
        InputError: If the model cannot be cloned.
    """

    return copy_model(model, lambda layer: _remade(layer, replace))


def dense_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Make the plain form of a layer, not built."""
    return _remade(layer, lambda layer, kind: dense_form(kind))


def _remade(layer, replace):
    config = _replaced(layer.get_config(), partial(replace, layer))
    found = replace(layer, type(layer))
    if found is None:
        return made_from(layer, config)
    return found.new_class.from_config(found.config(config))


def classes_inside(config: Any) -> list[type]:
    """List the classes of the layers inside a configuration."""
    found: list[type] = []
    _replaced(config, found.append)
    return found


def _replaced(config, replace):
    if isinstance(config, list | tuple):
        return type(config)(_replaced(item, replace) for item in config)
    if not isinstance(config, dict):
        return config
    kind = _layer_class(config)
    config = {key: _replaced(item, replace) for key, item in config.items()}
    found = None if kind is None else replace(kind)
    if found is None:
        return config
    return {
        **config,
        "module": found.new_class.__module__,
        "class_name": found.new_class.__name__,
        "registered_name": keras.saving.get_registered_name(found.new_class),
        "config": found.config(config["config"]),
    }


def _layer_class(config: dict) -> type | None:
    if not {"class_name", "config"} <= set(config):
        return None
    found = keras.saving.get_registered_object(config.get("registered_name"))
    if found is None and str(config.get("module")).startswith("keras"):
        found = getattr(keras.layers, str(config["class_name"]), None)
    if inspect.isclass(found) and issubclass(found, keras.layers.Layer):
        return found
    return None
