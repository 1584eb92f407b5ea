"""The state of an algorithm in the files of the model."""

import dataclasses
from collections.abc import Mapping

import keras

from cb.layers.masked import masked_kernels
from cb.layers.saved_state import Owner
from cb.layers.saved_state import SavedStates
from cb.sparsity.reallocation.base import Algorithm


def attach(
    owner: Owner,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer | None,
) -> None:
    """Make a callback's state part of the weights files of its model.

    Args:
        owner: `Owner`; it is given a state that was loaded before.
        model: Keras model.
        optimizer: The one that the callback follows, `None` for that of
            `compile`. Its place in the model makes the name in files.
    """
    key = ""
    if optimizer is not None:
        held = [name for name, it in vars(model).items() if it is optimizer]
        key = min(held, default=optimizer.name)
    for states in _states(model):
        states.owners[key] = owner
        if key in states.loaded:
            owner.load(states.loaded.pop(key))


def detach(owner: Owner, model: keras.Model) -> None:
    """Undo `attach`."""
    for states in _states(model):
        others = {k: it for k, it in states.owners.items() if it is not owner}
        states.owners = others


def names(algorithm: Algorithm) -> tuple[str, str]:
    """Return the class of an algorithm and its arguments, as text."""
    plain = (bool, int, float, str, type(None), Mapping, tuple)
    arguments = {}
    for field in dataclasses.fields(algorithm):  # type: ignore[arg-type]
        value = getattr(algorithm, field.name)
        known = isinstance(value, plain)
        arguments[field.name] = value if known else type(value).__name__
    return type(algorithm).__name__, repr(arguments)


def _states(model) -> list[SavedStates]:
    """Return the place for states in a model, if it has masks."""
    return [
        vars(kernel.layer)["reallocation_state"]
        for kernel in masked_kernels(model)[:1]
    ]
