"""State of a training: variables and callbacks, as arrays by name."""

import collections
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import scipy.sparse

from cb.distribute.variables import read_replicas
from cb.distribute.variables import write_replicas
from cb.errors import InputError
from cb.layers.traversal import ordered_layers

Arrays = dict[str, np.ndarray]


def model_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables of a model, seeds included, by stable names.

    A name consists of the position of the layer and the variable's own name:
    the same in a rebuilt model and in its dense and sparse forms.

    Args:
        model: Keras model, built.

    Returns:
        Dict of name to variable, all of `model.variables`.

    Raises:
        InputError: If a variable belongs to no layer.
    """
    found: dict[str, keras.Variable] = {}
    for position, layer in enumerate(ordered_layers(model)):
        own = [*layer._trainable_variables, *layer._non_trainable_variables]
        own += [generator.state for generator in layer._seed_generators]
        seen: collections.Counter = collections.Counter()
        for variable in own:
            number = seen[variable.name]
            seen[variable.name] += 1
            suffix = f"_{number}" if number else ""
            found[f"model/{position}/{variable.name}{suffix}"] = variable
    missing = {id(v) for v in model.variables} - {id(v) for v in found.values()}
    if missing:
        paths = [v.path for v in model.variables if id(v) in missing]
        raise InputError(
            "All variables of a model must belong to its layers, to be saved. "
            f"Received: model {model.name!r} with other variables {paths}"
        )
    return found


def read_all(variables: Mapping[str, keras.Variable]) -> Arrays:
    """Return the values of variables, one per replica where they differ.

    Args:
        variables: Dict of name to variable.

    Returns:
        Dict of name to array; the values of further replicas are under
        `NAME@1`, `NAME@2` and so on.
    """
    arrays = {}
    replicas = read_replicas([*variables.values()])
    for name, values in zip(variables, replicas, strict=True):
        for number, value in enumerate(values):
            arrays[f"{name}@{number}" if number else name] = value
    return arrays


def write_all(
    variables: Mapping[str, keras.Variable],
    arrays: Mapping[str, np.ndarray],
    averaged: bool = False,
) -> None:
    """Assign variables from arrays as `read_all` returns them.

    Arrays of layers on CSR kernels fit masked layers too.

    Args:
        variables: Dict of name to variable.
        arrays: Dict of name to array.
        averaged: Boolean, as in `write_replicas`: what is measured or begun
            with, unlike what is resumed, need not have as many replicas.

    Raises:
        InputError: If an array is missing or has another shape.
    """
    arrays = masked_form(arrays, variables)
    values = [_values(name, arrays) for name in variables]
    for (name, variable), found in zip(variables.items(), values, strict=True):
        if not found:
            raise InputError(_missing(name))
        shape = tuple(variable.shape)
        if found[0].shape != shape:
            raise InputError(
                f"The checkpoint's {name!r} has another shape. Expected "
                f"{shape}. Received: {found[0].shape}"
            )
    for variable, found in zip(variables.values(), values, strict=True):
        typed = [_typed(value, variable) for value in found]
        write_replicas(variable, typed, averaged)


def masked_form(
    arrays: Mapping[str, np.ndarray], variables: Mapping[str, keras.Variable]
) -> Arrays:
    """Add kernels and masks for the layers that were on CSR kernels.

    Args:
        arrays: Dict of name to array, as `read_all` returns it.
        variables: Dict of name to variable, those of the masked form.

    Returns:
        Dict of name to array: `arrays` and the added ones.
    """
    found = dict(arrays)
    for name in arrays:
        layer, _, last = name.rpartition("/")
        kernel = variables.get(f"{layer}/kernel")
        if last == "starts" and kernel is not None:
            values = arrays[f"{layer}/values"]
            place = (arrays[f"{layer}/indices"], arrays[name])
            outputs = len(arrays[name]) - 1
            matrix_shape = outputs, math.prod(kernel.shape) // outputs
            new = {"kernel": values, "mask": np.ones_like(values)}
            for key, entries in new.items():
                matrix = scipy.sparse.csr_array((entries, *place), matrix_shape)
                whole = matrix.toarray().T.reshape(kernel.shape)
                found[f"{layer}/{key}"] = whole
    return found


def _values(name: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    values = [arrays[name]] if name in arrays else []
    while (key := f"{name}@{len(values)}") in arrays:
        values.append(arrays[key])
    return values


def _missing(name: str) -> str:
    if name.endswith("/mask"):
        return (
            "The checkpoint has no masks, but the model is sparse. Expected "
            "a checkpoint of a sparse model; to start a new run from dense "
            f"weights, use `--initialize_from`. Missing: {name!r}"
        )
    return f"The checkpoint does not fit the model. Missing: {name!r}"


def _typed(array: np.ndarray, variable: keras.Variable) -> np.ndarray:
    # NumPy files lose the type of bfloat16 arrays, but not their bytes.
    if array.dtype.kind == "V":
        return array.view(keras.ops.zeros((), variable.dtype).numpy().dtype)
    return array


def read_state(
    model: keras.Model, callbacks: Mapping[str, Any], inside_epoch: bool
) -> Arrays:
    """Return all that a training needs to resume exactly.

    Args:
        model: Compiled Keras model with a built optimizer.
        callbacks: Dict of name to callback with `get_state` and `set_state`.
        inside_epoch: Boolean, whether to include the running means of the
            epoch's metrics.

    Returns:
        Dict of name to array.
    """
    variables = _trained_variables(model)
    if inside_epoch:
        variables |= _metrics(model)
    arrays = read_all(variables)
    for name, callback in callbacks.items():
        for key, value in callback.get_state().items():
            arrays[f"callback/{name}/{key}"] = value
    return arrays


def write_state(
    model: keras.Model, callbacks: Mapping[str, Any], arrays: Arrays
) -> None:
    """Restore a state, except for the metrics of an epoch.

    Args:
        model: As in `read_state`.
        callbacks: As in `read_state`.
        arrays: Dict of name to array, as `read_state` returns it.
    """
    write_all(_trained_variables(model), arrays)
    for name, callback in callbacks.items():
        prefix = f"callback/{name}/"
        state = {
            key.removeprefix(prefix): value
            for key, value in arrays.items()
            if key.startswith(prefix)
        }
        callback.set_state(state)


def write_metrics(model: keras.Model, arrays: Arrays) -> None:
    """Restore the running means of an epoch's metrics."""
    write_all(_metrics(model), arrays)


def _trained_variables(model: keras.Model) -> dict[str, keras.Variable]:
    variables = model_variables(model)
    for number, variable in enumerate(model.optimizer.variables):
        variables[f"optimizer/{number}"] = variable
    return variables


def _metrics(model: keras.Model) -> dict[str, keras.Variable]:
    variables = enumerate(model.metrics_variables)
    return {f"metrics/{number}": variable for number, variable in variables}
