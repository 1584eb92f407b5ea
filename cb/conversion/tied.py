"""From a dense Keras model to one whose kernels share values."""

import fnmatch

import keras

from cb import seeds
from cb.conversion import choice
from cb.conversion.choice import Patterns
from cb.conversion.classes import TIED_CLASSES
from cb.conversion.classes import Replacement
from cb.conversion.classes import copy_with
from cb.errors import InputError
from cb.layers.registration import class_names
from cb.layers.traversal import graph_layers
from cb.layers.traversal import ordered_layers
from cb.sparsity.amount import Sparsity
from cb.sparsity.amount import parse_sparsity


def tie(
    model: keras.Model,
    sparsity: Sparsity,
    include: Patterns = None,
    exclude: Patterns = None,
    granularity: str = "weight",
    rescale_gradient: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Make a copy of a Keras model whose kernels share values at random.

    A dense control for sparse training, with as many parameters. Layers that
    are neither `Dense` nor `Conv2D` stay dense.

    Args:
        model: Keras model, Sequential or functional, built.
        sparsity: As in `cb.sparsify`: for every kernel, one minus the number
            of values over the number of weights.
        include: As in `cb.sparsify`.
        exclude: As in `cb.sparsify`.
        granularity: `"weight"`, or `"slice"` where convolutions share whole
            kernel slices.
        rescale_gradient: Boolean, whether to divide the gradient of a value
            by the mean number of weights that share it.
        seed: Integer, seed of the choice of weights that share.

    Returns:
        A Keras model.

    Raises:
        InputError: If an argument is wrong or the model cannot be cloned.

    Reference:

    - [Chen et al., 2015](https://arxiv.org/abs/1504.04788)
    """
    parsed = parse_sparsity(sparsity)
    layers = graph_layers(model)
    reasons = choice.reasons(model, layers, include, exclude)
    arguments = {}
    positions = {
        id(layer): place for place, layer in enumerate(ordered_layers(model))
    }
    for layer in layers:
        share = _share(layer, parsed)
        tied = type(layer) in TIED_CLASSES and not reasons[id(layer)]
        if tied and share is not None:
            arguments[id(layer)] = {
                "sparsity": share,
                "granularity": _granularity(layer, granularity),
                "rescale_gradient": rescale_gradient,
                "seed": seeds.fold_in(seed, "tied", positions[id(layer)]),
            }
    names = {
        name
        for layer in layers
        for name in (layer.name, *class_names(type(layer)))
    }
    for pattern in sparsity if isinstance(sparsity, dict) else ():
        if not fnmatch.filter(names, pattern):
            raise InputError(
                "Argument `sparsity` holds a pattern that matches no layer. "
                f"Expected a pattern for one of {sorted(names)}. "
                f"Received: {pattern!r}"
            )
    if not arguments:
        raise InputError(
            "No layer of the model can share values. Expected one of "
            f"{sorted(kind.__name__ for kind in TIED_CLASSES)} that "
            "`sparsity`, `include` and `exclude` name. "
            f"Received: sparsity={sparsity}"
        )

    def replace(layer, kind):
        if id(layer) not in arguments:
            return None
        return Replacement(TIED_CLASSES[kind], arguments[id(layer)])

    return copy_with(model, replace)


def _share(layer, sparsity) -> float | None:
    if not isinstance(sparsity, dict):
        return sparsity
    names = {layer.name, *class_names(type(layer))}
    for pattern, value in sparsity.items():
        if fnmatch.filter(names, pattern):
            return value
    return None


def _granularity(layer, granularity: str) -> str:
    # A dense kernel has no slices: each is a weight.
    if granularity == "slice" and isinstance(layer, keras.layers.Dense):
        return "weight"
    return granularity
