"""Copies of models that their own class makes."""

import inspect
from typing import Any

import keras
import numpy as np
from keras.src.saving.serialization_lib import SafeModeScope

from cb.errors import InputError
from cb.errors import first_cause
from cb.errors import one_line
from cb.layers.copying import copy_state
from cb.layers.copying import paired
from cb.layers.masked_in_place import dense_description
from cb.layers.masked_in_place import made_class

# Attributes of these types are settings, and follow to a copy.
_PLAIN = (bool, int, float, str, type(None), np.ndarray, np.generic)
# What Keras records of every layer.
_OF_EVERY_LAYER = {"name", "trainable", "dtype"}


def duplicate(model: keras.Model, in_place: str) -> keras.Model:
    """Make a model of the same class in the same state.

    Masks that were added inside the model are no part of the copy.

    Args:
        model: Keras model, built, whose class can make it again from its
            `get_config()`.
        in_place: String, what to use instead where it cannot.

    Returns:
        A Keras model, built.

    Raises:
        InputError: If the class cannot make it again.
    """
    kind = made_class(model)
    try:
        copy = _made_again(model, kind)
        copy_state(model, copy)
    except (NotImplementedError, TypeError, ValueError, KeyError) as error:
        reason = one_line(first_cause(error))
        raise InputError(
            f"Model {model.name!r} cannot be copied. Expected a class that "
            "can make it again from its `get_config()`, with the same layers. "
            f"Received: {type(model).__name__} ({reason}). Use "
            f"`{in_place}`, which changes the layers in place."
        ) from error
    copy.name = model.name
    for old, new in paired(model, copy):
        _copy_settings(old, new)
    return copy


def _made_again(model, kind) -> Any:
    description = dense_description(model)
    config = description["config"]
    taken = inspect.getfullargspec(kind.__init__)
    if {*config} <= _OF_EVERY_LAYER and not taken.varkw:
        # A constructor without arguments need not take these either.
        config = {k: config[k] for k in config if k in taken.args}
    # By the class itself: another may be registered under its name.
    with keras.saving.custom_object_scope({kind.__name__: kind}):
        with SafeModeScope(False):
            copy = kind.from_config(config)
    if not copy.built and "build_config" in description:
        copy.build_from_config(description["build_config"])
        copy.built = True
    if not isinstance(copy, kind) or not copy.built:
        raise ValueError("its build configuration is not enough")
    if copy.dtype_policy.name != model.dtype_policy.name:
        raise ValueError("its constructor takes no `dtype`")
    return copy


def _copy_settings(old, new) -> None:
    """Copy what was set on a layer after its class had made it."""
    values = vars(new)
    for name, value in vars(old).items():
        public = not name.startswith("_") or name == "_trainable"
        plain = isinstance(value, _PLAIN) and name != "name"
        if public and plain and isinstance(values.get(name), _PLAIN):
            values[name] = value
    if not old.trainable:
        new.trainable = False
