"""Loading of saved models as functions on the fastest kernels."""

import json
import os
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import one_line
from cb.export.checking import SIGNATURE
from cb.export.checking import check_outputs
from cb.export.checking import kept_seeds
from cb.export.checking import load_graph
from cb.export.checking import tolerance
from cb.export.loaded_model import LoadedModel
from cb.export.program import FILE
from cb.export.program import VERSION


def load_saved_model(path: str, batch_sizes: Sequence[int]) -> LoadedModel:
    """Load a SavedModel as `cb.export.load` does."""
    if not os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise argument_error("path", "the folder of an export", path)
    saved, description = _read(path)
    if SIGNATURE not in saved.signatures:
        raise InputError(
            "Argument `path` must be a SavedModel with the signature "
            f"{SIGNATURE!r}. Received: path={path!r} with "
            f"{sorted(saved.signatures)}"
        )
    return LoadedModel(saved, description, sorted(batch_sizes))


def check_steps(
    model: keras.Model,
    path: str,
    saved: Any,
    batches: Sequence[dict[str, tf.Tensor]],
) -> None:
    """Compare the steps of a sparse export with its graph.

    Args:
        model: Keras model that it came from.
        path: String, folder of the SavedModel.
        saved: The SavedModel, loaded.
        batches: List of dicts of name to tensor.

    Raises:
        RunError: If their outputs differ by more than rounding.
    """
    description = _description(path)
    loaded = LoadedModel(saved, description, [])
    if not loaded.has_steps:
        return
    with kept_seeds(model) as seeds:
        if seeds:
            # Loaded again, so that both draw the same random numbers.
            loaded = LoadedModel(load_graph(path), description, [])
            saved = load_graph(path)
    for drawn in batches:
        (x,) = drawn.values()
        found = loaded.execute(x.numpy(), lambda index, inputs: "dense")
        (expected,) = saved.signatures[SIGNATURE](x).values()
        check_outputs(model.name, expected, found, tolerance(model))


def _read(path: str) -> tuple[Any, dict[str, Any]]:
    """Return a SavedModel and the description of its steps, if it has one."""
    try:
        return load_graph(path), _description(path)
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = one_line(error)
        raise InputError(
            "Argument `path` must be the folder of a SavedModel that can be "
            f"read. Received: path={path!r} ({reason})"
        ) from error


def _description(path: str) -> dict[str, Any]:
    """Return the description of the steps of a SavedModel, empty without."""
    description: dict[str, Any] = {}
    file = os.path.join(path, *FILE)
    if os.path.isfile(file):
        with open(file) as stream:
            description = json.load(stream)
    # Steps of another format are ignored; the graph always runs.
    if description.get("version") != VERSION:
        description = {"steps": []}
    return description
