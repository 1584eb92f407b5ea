"""Tells how much of a model the masks do not reach."""

import math
import warnings
from collections.abc import Mapping
from collections.abc import Set

import keras

from cb.layers.traversal import named_layers

# As many of the layers that stay dense are named, the largest first.
_NAMED = 5


def warn_of_dense(
    model: keras.Model, masked: Set[int], reasons: Mapping[int, str]
) -> None:
    """Warn if masks reach less than half of the weights in kernels.

    Args:
        model: Keras model, dense.
        masked: Set of the `id` of the variables that get masks.
        reasons: Dict of the `id` of a layer, or of one of its variables, to
            the reason why it stays dense; empty if that is what the caller
            has asked for.
    """
    reached = 0
    dense: dict[str, tuple[int, str]] = {}
    seen: set[int] = set()
    for name, layer in named_layers(model):
        for variable in layer._trainable_variables:
            if len(variable.shape) < 2 or id(variable) in seen:
                continue
            seen.add(id(variable))
            size = math.prod(variable.shape)
            if id(variable) in masked:
                reached += size
                continue
            own = reasons.get(id(layer), "out of reach")
            if reason := reasons.get(id(variable), own):
                before, _ = dense.get(name, (0, reason))
                dense[name] = (before + size, reason)
    missed = sum(size for size, _ in dense.values())
    if reached >= missed:
        return
    largest = sorted(dense.items(), key=lambda item: item[1], reverse=True)
    named = ", ".join(
        f"{name!r} ({size:,}: {reason})"
        for name, (size, reason) in largest[:_NAMED]
    )
    others = f" and {len(dense) - _NAMED} others" if len(dense) > _NAMED else ""
    warnings.warn(
        f"Masks reach {reached:,} of {reached + missed:,} weights in kernels "
        f"of model {model.name!r}. Dense: {named}{others}. "
        "`cb.layers.register_masked` gives a class of layers a masked form, "
        "`granularity='weight'` fits every kernel, `cb.sparsify_layers` "
        "reaches layers outside of the graph; `include` says which layers are "
        "meant.",
        stacklevel=4,
    )
