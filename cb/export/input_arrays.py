"""Inputs of loaded models: arrays by name, of the shapes expected."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cb.errors import InputError
from cb.export.checking import fits

# Shape, its free sides `None`, and type of every input by name.
Specs = dict[str, tuple[tuple[int | None, ...], Any]]


def run_checked(run: Callable, x: Any, specs: Specs) -> Any:
    """Call a function on the inputs of a user.

    Args:
        run: Function from a dict of arrays by name, with at least one example,
            to a structure of arrays.
        x: Array, or dict of arrays by name.
        specs: Dict of the name of each input to its shape and type.

    Returns:
        What the function returns, of as many examples.

    Raises:
        InputError: If the inputs do not fit.
    """
    arrays = _arrays(x, specs)
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) > 1:
        raise InputError(
            "The inputs must hold as many examples each. "
            f"Received: {sorted(lengths)}"
        )
    if lengths != {0}:
        return run(arrays)
    # Sparse products refuse an empty batch: run one example and drop it.
    zeros = {
        name: np.zeros((1, *array.shape[1:]), array.dtype)
        for name, array in arrays.items()
    }
    return keras.tree.map_structure(lambda y: y[:0], run(zeros))


def _arrays(x, specs: Specs) -> dict[str, np.ndarray]:
    """Return the inputs by name, of the shapes that kernels rely on."""
    if not isinstance(x, dict) and len(specs) == 1:
        x = dict.fromkeys(specs, x)
    if not isinstance(x, dict) or x.keys() != specs.keys():
        found = sorted(x) if isinstance(x, dict) else type(x).__name__
        raise InputError(
            "The inputs must be a dict of arrays with the keys "
            f"{sorted(specs)}. Received: {found}"
        )
    return {
        name: _array(name, x[name], *expected)
        for name, expected in specs.items()
    }


def _array(name, x, shape, dtype) -> np.ndarray:
    """Return an input as an array; refuse a shape that does not fit."""
    try:
        # In one piece, as runtimes of others take them.
        array = np.asarray(x, dtype, "C")
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(
            f"Input {name!r} must be an array of {np.dtype(dtype)}. "
            f"Received: {type(x).__name__} ({error})"
        ) from error
    if not fits(array.shape, shape):
        raise InputError(
            f"Input {name!r} must have the shape {shape}. "
            f"Received: {array.shape}"
        )
    return array
