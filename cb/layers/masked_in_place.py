"""Masks inside of layers and models that make their layers themselves.

The configuration of such a layer does not show the layers inside it, so that
masks are added to, and removed from, what its class has made.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras

from cb.errors import InputError
from cb.layers.attributes import AddedArguments
from cb.layers.masked import Granular
from cb.layers.masked import Masked
from cb.layers.masked import mask_in_place
from cb.layers.masked import mask_name
from cb.layers.registration import masked_class
from cb.layers.regularizers import OfActive
from cb.layers.traversal import ordered_layers

_REGISTERED = {"package": "cb", "name": "MasksInside"}


@keras.saving.register_keras_serializable(**_REGISTERED)
class MasksInside(AddedArguments):
    """Mixin: a layer or model that records which layers inside have masks.

    `record_masks` makes a class of it and of a layer's own class, and gives
    it to the layer. Any of these classes loads the layers of all.
    """

    added_arguments = ("made_by", "masks_inside")
    # By class: of each of its layers the granularity of a mask to add once
    # they are all built, or `None`.
    masks_due: Mapping[str, Sequence[str | None]] = {}

    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        self.add_due_masks()
        return outputs

    def build_from_config(self, config):
        super().build_from_config(config)
        self.add_due_masks()

    def get_config(self):
        made_by = dense_description(self)
        config = made_by.pop("config")
        specs = {
            name: [
                one.granularity if isinstance(one, Granular) else None
                for one in layers
            ]
            for name, layers in _by_class(self).items()
        }
        masks = {name: found for name, found in specs.items() if any(found)}
        return {**config, "made_by": made_by, "masks_inside": masks}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        masks = config.pop("masks_inside")
        made_by = {**config.pop("made_by"), "config": config}
        layer = keras.saving.deserialize_keras_object(made_by)
        record_masks(layer)
        vars(layer)["masks_due"] = masks
        layer.add_due_masks()
        return layer

    def add_due_masks(self):
        """Add the masks of a configuration to the layers built so far."""
        if not self.masks_due:
            return
        found, waiting = _by_class(self), {}
        for name, specs in self.masks_due.items():
            layers = found.get(name, [])
            # Those without a mask may never be built, if nothing calls them.
            due = [
                (layer, spec)
                for layer, spec in zip(layers, specs, strict=False)
                if spec is not None
            ]
            ready = all(layer.built for layer, _ in due)
            if not ready or len(layers) != len(specs):
                waiting[name] = specs
                continue
            for layer, granularity in due:
                if kind := masked_class(type(layer)):
                    mask_in_place(layer, kind, granularity)
        vars(self)["masks_due"] = waiting


def _by_class(layer) -> dict[str, list[keras.layers.Layer]]:
    """List the layers inside a layer by the class that they have when dense.

    Others may come and go: a preprocessor makes some when it is first used.
    """
    found: dict[str, list[keras.layers.Layer]] = {}
    for inner in ordered_layers(layer):
        kind = getattr(type(inner), "dense_class", type(inner))
        found.setdefault(kind.__name__, []).append(inner)
    return found


def record_masks(layer: keras.layers.Layer) -> None:
    """Let a layer save which of the layers inside it have masks.

    Args:
        layer: Keras layer or model whose configuration does not show them.
    """
    kind: Any = type(layer)
    if issubclass(kind, MasksInside):
        return
    space = {
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "dense_class": kind,
    }
    made = type(kind.__name__, (MasksInside, kind), space)
    keras.saving.register_keras_serializable(**_REGISTERED)(made)
    layer.__class__ = made


def made_class(layer: keras.layers.Layer) -> Any:
    """Return the class of a layer, without what records masks inside it."""
    kind: Any = type(layer)
    return kind.dense_class if issubclass(kind, MasksInside) else kind


def dense_description(layer: keras.layers.Layer) -> dict[str, Any]:
    """Describe a layer as its own class does, without masks added inside.

    Args:
        layer: Keras layer or model.

    Returns:
        Dict that `keras.saving.deserialize_keras_object` takes.
    """
    kind = type(layer)
    try:
        layer.__class__ = made_class(layer)
        found = keras.saving.serialize_keras_object(layer)
    finally:
        layer.__class__ = kind
    # Layers are made from it; they are compiled by who uses them.
    found.pop("compile_config", None)
    return found


def remove_masks(model: keras.layers.Layer) -> None:
    """Fold the masks inside a layer or model into its kernels, in place.

    Args:
        model: Keras layer or model, built.

    Raises:
        InputError: If a layer is of a subclass of a masked class, which may
            compute something else than the dense class; nothing is changed.
    """
    sparse: list[Any] = [
        layer
        for layer in ordered_layers(model)
        if isinstance(layer, Granular | MasksInside)
    ]
    for layer in sparse:
        if "dense_class" not in vars(type(layer)):
            raise InputError(
                f"Layer {layer.name!r} has no dense form. Expected layers of a "
                "Keras class with masks that `cb.sparsify` adds. Received: "
                f"{type(layer).__name__}, a subclass of a masked class"
            )
    for layer in sparse:
        if isinstance(layer, Masked):
            _fold(layer)
            vars(layer).pop("reallocation_state", None)
        kind: Any = type(layer)
        for name in kind.added_arguments:
            layer.__dict__.pop(name, None)
        layer.__class__ = kind.dense_class
        _bind_quantize(layer)


def _fold(layer) -> None:
    """Zero the inactive weights of a masked layer, and drop its masks."""
    dense_class = type(layer).dense_class
    for name in type(layer).masked_weights:
        weight, mask = layer.raw(name), layer.mask_of(name)
        value = keras.ops.where(
            keras.ops.cast(mask, bool), weight, keras.ops.zeros_like(weight)
        )
        weight.assign(value)
        if isinstance(weight.regularizer, OfActive):
            weight.regularizer = weight.regularizer.regularizer
        layer._untrack_variable(mask)
        # Past Keras's own, which collects garbage for each variable.
        super(keras.layers.Layer, layer).__delattr__(mask_name(name))
        if not hasattr(dense_class, name):
            layer.__dict__[name] = layer.__dict__.pop(f"_{name}")


def _bind_quantize(layer) -> None:
    """Bind `quantize` as Keras does to new layers: the state is open."""
    quantize = layer.quantize

    def unlocked(*args, **kwargs):
        layer._tracker.unlock()
        try:
            quantize(*args, **kwargs)
        finally:
            layer._tracker.lock()

    layer.__dict__["quantize"] = unlocked
