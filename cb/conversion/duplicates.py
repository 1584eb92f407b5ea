"""Copies of models that their own class makes."""

import functools
import inspect
from typing import Any

import keras
import numpy as np
from keras.src.saving.serialization_lib import SafeModeScope

from cb.errors import InputError
from cb.errors import first_cause
from cb.errors import one_line
from cb.layers.copying import copy_model
from cb.layers.copying import copy_state
from cb.layers.copying import paired
from cb.layers.masked_in_place import dense_description
from cb.layers.masked_in_place import made_class
from cb.layers.traversal import is_graph
from cb.layers.traversal import made_by_its_class

# Attributes of these types are settings, and follow to a copy.
_PLAIN = (bool, int, float, str, type(None), np.ndarray, np.generic)
# Attributes that are no settings of the class.
_OF_OTHERS = """
    built history masks_due name optimizer reallocation_state
""".split()
# What Keras records of every layer.
_OF_EVERY_LAYER = {"name", "trainable", "dtype"}


def copy_whole(model: keras.Model, in_place: str) -> keras.Model:
    """Copy a model and its state, of whatever class.

    Args:
        model: Keras model, built.
        in_place: As in `duplicate`.

    Returns:
        A Keras model of the same class.

    Raises:
        InputError: If neither its graph nor its class can make it again.
    """
    if not is_graph(model):
        return duplicate(model, in_place)
    of_keras = made_class(model).get_config.__module__.startswith("keras.")
    if of_keras or not made_by_its_class(model):
        return copy_model(model)
    # The class says how it is made, which may be more than layers: a task of
    # KerasHub compiles itself.
    try:
        return duplicate(model, in_place)
    except InputError as error:
        try:
            return copy_model(model)
        except InputError:
            raise error from None


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
        for old, new in paired(model, copy):
            _copy_settings(old, new)
    except (NotImplementedError, TypeError, ValueError, KeyError) as error:
        reason = one_line(first_cause(error))
        raise InputError(
            f"Model {model.name!r} cannot be copied. Expected a class that "
            "can make it again from its `get_config()`, with the same layers. "
            f"Received: {type(model).__name__} ({reason}). Use "
            f"`{in_place}`, which changes the layers in place."
        ) from error
    copy.name = model.name
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
    for name, value in vars(old).items():
        # Keras's own, or functions made for the old one.
        keras_has = name in _attributes_of_keras() and name != "_trainable"
        if name in _OF_OTHERS or keras_has or callable(value):
            continue
        if isinstance(value, _PLAIN):
            if isinstance(vars(new).get(name, 0), _PLAIN):
                vars(new)[name] = value
        elif _is_plain(value) and value:
            vars(new)[name] = _plain_copy(value)
        elif name.startswith("_"):
            continue
        elif name not in vars(new) and made_class(old) is made_class(new):
            raise ValueError(f"its attribute `{name}` was set by others")
    if not old.trainable:
        new.trainable = False


@functools.cache
def _attributes_of_keras() -> set[str]:
    return {*vars(keras.Model()), *vars(keras.layers.Layer())}


def _is_plain(value) -> bool:
    """Return whether a value is a container of nothing but plain settings."""
    if not isinstance(value, list | tuple | dict):
        return isinstance(value, _PLAIN)
    inside = value.values() if isinstance(value, dict) else value
    return all(map(_is_plain, inside))


def _plain_copy(value):
    # Not Keras's containers, which track what they hold.
    if isinstance(value, dict):
        return {key: _plain_copy(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        kind = tuple if isinstance(value, tuple) else list
        return kind(map(_plain_copy, value))
    return value
