"""Which masked class stands for which Keras class, also inside configs."""

import inspect
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import keras

from cb import layers
from cb.layers.sparse_dense import SparseDense
from cb.layers.tied import Tied

MASKED_CLASSES = {
    getattr(keras.layers, name.removeprefix("Masked")): getattr(layers, name)
    for name in layers.__all__
    if name.startswith("Masked") and name != "Masked"
}
TIED_CLASSES = {
    keras.layers.Dense: layers.TiedDense,
    keras.layers.Conv2D: layers.TiedConv2D,
}
DENSE_CLASSES = {
    new: dense
    for classes in (MASKED_CLASSES, TIED_CLASSES)
    for dense, new in classes.items()
}
# Families of layers that a sparsity map may name.
KINDS = {
    "dense": ("Dense", "EinsumDense"),
    "conv": (
        "Conv1D",
        "Conv2D",
        "Conv2DTranspose",
        "Conv3D",
        "DepthwiseConv2D",
        "SeparableConv1D",
        "SeparableConv2D",
    ),
    "depthwise": ("DepthwiseConv2D",),
    "attention": ("GroupQueryAttention", "MultiHeadAttention"),
    "recurrent": ("SimpleRNNCell", "LSTMCell", "GRUCell"),
}

REGULARIZERS = (
    "kernel_regularizer",
    "depthwise_regularizer",
    "pointwise_regularizer",
    "recurrent_regularizer",
)


class Replacement(NamedTuple):
    """What takes the place of a layer.

    Attributes:
        new_class: Layer class.
        arguments: Dict of the arguments that only the new class has.
        dropped: Names of arguments that only the old class had.
        regularizer: Config of a Keras regularizer for the kernels, or `None`
            to leave those that the layer has.
    """

    new_class: type[keras.layers.Layer]
    arguments: dict[str, Any] = {}
    dropped: tuple[str, ...] = ()
    regularizer: dict[str, Any] | None = None

    def config(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the config that makes the new layer."""
        config = {k: v for k, v in config.items() if k not in self.dropped}
        config.update(self.arguments)
        if self.regularizer is not None:
            for key in REGULARIZERS:
                if key in config:
                    config[key] = self.regularizer
        return config


def dense_form(kind: type) -> Replacement | None:
    """Return the Keras class that a class of `cb` stands for, or `None`."""
    if kind is SparseDense:
        return Replacement(keras.layers.Dense, dropped=("connections", "seed"))
    if kind not in DENSE_CLASSES:
        return None
    dropped: tuple[str, ...] = ("granularity",)
    if issubclass(kind, Tied):
        dropped += ("rescale_gradient", "seed", "sparsity")
    return Replacement(DENSE_CLASSES[kind], dropped=dropped)


# From a layer class to what takes its place, or `None` to leave it.
Replace = Callable[[type], Replacement | None]


def kind_names(layer: keras.layers.Layer) -> set[str]:
    """Return the class name of a layer's dense form and its families."""
    name = DENSE_CLASSES.get(type(layer), type(layer)).__name__
    return {name, *(kind for kind, names in KINDS.items() if name in names)}


def replaced_layer(
    layer: keras.layers.Layer, replace: Replace
) -> keras.layers.Layer:
    """Make a layer from the config of another, with classes replaced.

    Layers that the config holds (the layer in a wrapper, the cell of a
    recurrent layer) are replaced too.

    Args:
        layer: Keras layer.
        replace: Function from a class to its `Replacement` or `None`.

    Returns:
        A new Keras layer, not built.
    """
    config = _replaced(layer.get_config(), replace)
    found = replace(type(layer))
    if found is None:
        return type(layer).from_config(config)
    return found.new_class.from_config(found.config(config))


def classes_inside(config: Any) -> list[type]:
    """List the classes of the layers that a config holds."""
    found: list[type] = []

    def note(kind):
        found.append(kind)

    _replaced(config, note)
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
