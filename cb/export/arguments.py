"""Models whose `call` takes several tensors, as models of a dict of them."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from cb.errors import InputError
from cb.layers.traversal import is_graph

# What Keras passes by itself.
_NO_INPUTS = {"mask", "training"}


def with_one_argument(model: keras.Model, inputs: Any) -> tuple[Any, Any]:
    """Wrap a model whose `call` takes several tensors.

    Args:
        model: Keras model, built.
        inputs: As in `cb.export.save`.

    Returns:
        Tuple of a functional model of a dict of the arguments, and `None`; or
        of what was given, where `call` takes one.

    Raises:
        InputError: If it takes several and `inputs` does not name them.
    """
    names = {} if is_graph(model) else _arguments(model)
    given = isinstance(inputs, Mapping) and {*inputs} <= {*names}
    needed = [name for name, optional in names.items() if not optional]
    if len(needed) < 2 and not (given and len(inputs) > 1):
        return model, inputs
    if not given or not {*needed} <= {*inputs}:
        raise InputError(
            f"Argument `inputs` is needed for model {model.name!r}, whose "
            "`call` takes several tensors. Expected a dict of arrays or "
            f"`keras.Input` with the keys {needed}. Received: inputs="
            + (f"a {type(inputs).__name__}" if inputs is not None else "None")
        )
    symbolic = {
        name: keras.Input(
            (*tuple(like.shape)[1:],),
            dtype=keras.backend.standardize_dtype(like.dtype),
            name=name,
        )
        for name, like in inputs.items()
    }
    whole = keras.Model(symbolic, model(**symbolic), name=model.name)
    vars(whole)["wrapped"] = model
    return whole, None


def _arguments(model) -> dict[str, bool]:
    """Return the arguments of `call`, and whether they may be left out."""
    found = inspect.signature(model.call).parameters.values()
    variadic = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return {
        one.name: one.default is not one.empty
        for one in found
        if one.kind not in variadic and one.name not in _NO_INPUTS
    }
