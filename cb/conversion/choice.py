"""Chooses the layers of a model that become sparse; others get a reason."""

import fnmatch
from collections.abc import Sequence

import keras

from cb.conversion.classes import classes_inside
from cb.conversion.targets import Kernel
from cb.errors import InputError
from cb.layers.masked import mask_name
from cb.layers.registration import MASKED_CLASSES
from cb.layers.registration import class_names
from cb.layers.registration import masked_class
from cb.layers.traversal import is_graph
from cb.layers.traversal import made_by_its_class
from cb.layers.traversal import named_layers
from cb.sparsity import granularity as granularities

Patterns = str | Sequence[str] | None
Layers = list[keras.layers.Layer]
# Begins the reason why a layer with a kernel of an unknown kind stays dense.
UNKNOWN = "no masked form of"
NOT_INCLUDED = "not included"
ON_REQUEST = "dense unless it is included by name"


def reasons(
    model: keras.Model,
    layers: Layers,
    include: Patterns = None,
    exclude: Patterns = None,
    first_dense: bool = False,
    last_dense: bool = False,
) -> dict[int, str]:
    """Decide which layers become sparse, and why the others stay dense.

    A model may keep layers dense by default: its attribute `always_dense`
    holds patterns of their names.

    Args:
        model: Keras model.
        layers: List of the layers that can be replaced, in order.
        include: Patterns of layer names to mask, or `None` for all that the
            model does not keep dense.
        exclude: Patterns of layer names to leave dense; `None` for none.
        first_dense: Boolean, whether the first of the layers stays dense.
        last_dense: Boolean, whether the last of the layers stays dense.

    Returns:
        Dict of the identity of a layer to the reason, empty if it is masked.

    Raises:
        InputError: If a pattern matches nothing or no layer is left.
    """
    found = {id(layer): _unable(layer) for layer in layers}
    able = [layer for layer in layers if not found[id(layer)]]
    if not able:
        raise InputError(
            f"Model {model.name!r} has no layer with a kernel that can be "
            "masked. Expected one of "
            f"{sorted(kind.__name__ for kind in MASKED_CLASSES)}."
        )
    for layer in layers:
        if include is not None and found[id(layer)].startswith(UNKNOWN):
            found[id(layer)] = NOT_INCLUDED
    full = {id(layer): name for name, layer in named_layers(model)}
    names = [*dict.fromkeys(full[id(layer)] for layer in able)]
    names += [layer.name for layer in able if layer.name not in names]
    included = _matching(names, include, "include")
    excluded = _matching(names, exclude, "exclude")
    if include is None and exclude is None:
        excluded = _kept_dense(names, getattr(model, "always_dense", ()))
    for layer in able:
        own = (full[id(layer)], layer.name)
        if include is not None and not any(name in included for name in own):
            found[id(layer)] = NOT_INCLUDED
        elif include is None and _on_request(layer):
            found[id(layer)] = ON_REQUEST
        for name in own:
            found[id(layer)] = found[id(layer)] or excluded.get(name, "")
    if first_dense:
        found[id(able[0])] = found[id(able[0])] or "first layer"
    if last_dense:
        found[id(able[-1])] = found[id(able[-1])] or "last layer"
    if all(found.values()):
        raise InputError(
            "Arguments `include` and `exclude` leave no layer to mask. "
            f"Received: include={include}, exclude={exclude}; the layers "
            f"are {names}"
        )
    return found


def _unable(layer) -> str:
    """Return why a layer cannot be masked, empty if it can."""
    if masked := masked_class(type(layer)):
        names = map(mask_name, masked.masked_weights)
        taken = [name for name in names if name in vars(layer)]
        return f"has an attribute `{taken[0]}` of its own" if taken else ""
    if any(map(masked_class, classes_inside_layer(layer))):
        return ""
    if any(len(weight.shape) > 1 for weight in layer.trainable_weights):
        return f"{UNKNOWN} {type(layer).__name__}"
    return "no kernel"


def concealing(model: keras.Model) -> Layers:
    """List the outermost layers that hold kernels which no config shows.

    Args:
        model: Keras model, or a layer.

    Returns:
        List of models that their class makes, and of layers made of others.
    """
    inside = [*map(type, model._flatten_layers())]
    if _has_kernels(type(model)) or not any(map(_has_kernels, inside)):
        return []
    if is_graph(model) and not made_by_its_class(model):
        return [found for layer in model.layers for found in concealing(layer)]
    shown = not is_graph(model) and classes_inside_layer(model)
    return [] if any(map(_has_kernels, shown or ())) else [model]


def _has_kernels(kind: type) -> bool:
    return masked_class(kind) or kind in MASKED_CLASSES.values()


def _on_request(layer) -> bool:
    return getattr(masked_class(type(layer)), "on_request", False)


def classes_inside_layer(layer: keras.layers.Layer) -> list[type]:
    """List the classes of the layers in a layer's config, if it has one."""
    try:
        return classes_inside(layer.get_config())
    except NotImplementedError:
        return []


def _matching(names, patterns, argument) -> dict[str, str]:
    if isinstance(patterns, str):
        patterns = [patterns]
    matching = {}
    for pattern in patterns or ():
        found = fnmatch.filter(names, pattern)
        if not found:
            raise InputError(
                f"Argument `{argument}` holds a pattern that matches no "
                f"layer. Expected a pattern for one of {names}. "
                f"Received: {pattern!r}"
            )
        matching.update(dict.fromkeys(found, f"excluded by {pattern!r}"))
    return matching


def _kept_dense(names, patterns) -> dict[str, str]:
    return {
        name: "the model keeps it dense"
        for pattern in patterns
        for name in fnmatch.filter(names, pattern)
    }


def kernels(
    model: keras.Model, chosen: Layers, granularity: str
) -> list[tuple[Kernel, str]]:
    """Describe the kernels of the layers that are to be masked.

    Args:
        model: Dense Keras model.
        chosen: List of layers; the layers inside them count too.
        granularity: Spec of a granularity.

    Returns:
        List of pairs of a `Kernel` and the reason why the granularity does
        not fit it, empty if it does; in the order of the layers.
    """
    owners = {
        id(layer): owner
        for owner in chosen
        for layer in owner._flatten_layers()
    }
    pattern = granularities.pattern(granularity)
    found = []
    for position, (name, layer) in enumerate(named_layers(model)):
        if id(layer) not in owners or not masked_class(type(layer)):
            continue
        owner = owners[id(layer)]
        for kernel in _kernels(layer, position, name, owner, granularity):
            shape, reason = kernel.shape, ""
            if pattern and not granularities.divides(shape, *pattern[1:]):
                reason = f"{shape} has no groups of {pattern[1]}"
            found.append((kernel, reason))
    return found


def _kernels(layer, position, name, owner, granularity) -> list[Kernel]:
    masked = masked_class(type(layer))
    names = {name, layer.name, owner.name}
    names |= class_names(type(layer)) | class_names(type(owner))
    found = []
    for weight in masked.masked_weights:
        key = f"{position}/{weight}"
        full_name = name if weight == "kernel" else f"{name}/{weight}"
        shape = tuple(getattr(layer, weight).shape)
        block = masked.block_of(granularity, weight, shape)
        all_names = frozenset({*names, full_name})
        found.append(Kernel(key, all_names, full_name, shape, block))
    return found
