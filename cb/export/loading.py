"""Loading of saved models as functions on the fastest kernels."""

import json
import os
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import one_line
from cb.export.checking import SIGNATURE
from cb.export.checking import check_outputs
from cb.export.checking import load_graph
from cb.export.checking import tolerance
from cb.export.loaded_model import LoadedModel
from cb.export.program import FILE
from cb.export.program import VERSION
from cb.registry import Count
from cb.registry.annotations import allows


def load(
    path: str, batch_sizes: Sequence[int] = (1, 128)
) -> Callable[[Any], Any]:
    """Load a SavedModel as a function on the fastest kernels of this machine.

    Chains of sparse layers run as kernels compiled by Numba (an extra of the
    package), as TensorFlow's eager CSR product or as dense products; the whole
    model can also run as the saved graph. The fastest is measured for each of
    the batch sizes; other sizes use the choice for the nearest.

    Args:
        path: String, the folder that `cb.export.save` wrote. Of a form but
            `"sparse"`, or of a model with several inputs or outputs, only the
            graph can be run.
        batch_sizes: Integers, how many examples there will be in a call.

    Returns:
        A `LoadedModel`: a function from an array `(examples, ...)` to an
        array; of dicts of arrays by name if there are several.

    Raises:
        InputError: If there is no SavedModel, or it has no signature to call.

    Example:

    >>> cb.export.save(model, "exported", form="sparse")
    >>> predict = cb.export.load("exported", batch_sizes=[1])
    >>> predict(images)
    """
    if not os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise argument_error("path", "the folder of a SavedModel", path)
    check_batch_sizes(batch_sizes)
    saved, description = _read(path)
    if SIGNATURE not in saved.signatures:
        raise InputError(
            "Argument `path` must be a SavedModel with the signature "
            f"{SIGNATURE!r}. Received: path={path!r} with "
            f"{sorted(saved.signatures)}"
        )
    return LoadedModel(saved, description, sorted(batch_sizes))


def check_steps(
    model: keras.Model, path: str, batches: Sequence[dict[str, tf.Tensor]]
) -> None:
    """Compare the steps of a sparse export with its graph.

    Args:
        model: Keras model that it came from.
        path: String, folder of the SavedModel.
        batches: List of dicts of name to tensor.

    Raises:
        RunError: If their outputs differ by more than rounding.
    """
    loaded = LoadedModel(*_read(path), [])
    if loaded.has_steps:
        # Loaded twice, so that both draw the same random numbers, if any.
        saved, _ = _read(path)
        for drawn in batches:
            (x,) = drawn.values()
            found = loaded.execute(x.numpy(), lambda index, inputs: "dense")
            (expected,) = saved.signatures[SIGNATURE](x).values()
            check_outputs(model.name, expected, found, tolerance(model))


def _read(path: str) -> tuple[Any, dict[str, Any]]:
    """Return a SavedModel and the description of its steps, if it has one."""
    description: dict[str, Any] = {}
    try:
        saved = load_graph(path)
        file = os.path.join(path, *FILE)
        if os.path.isfile(file):
            with open(file) as stream:
                description = json.load(stream)
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = one_line(error)
        raise InputError(
            "Argument `path` must be the folder of a SavedModel that can be "
            f"read. Received: path={path!r} ({reason})"
        ) from error
    # Steps of another format are ignored; the graph always runs.
    if description.get("version") != VERSION:
        description = {"steps": []}
    return saved, description


def check_batch_sizes(batch_sizes: Sequence[int]) -> None:
    """Raise `InputError` unless there are sizes, all positive integers."""
    good = isinstance(batch_sizes, Sequence) and len(batch_sizes) > 0
    if not good or not all(allows(Count, size) for size in batch_sizes):
        expected = "a list of positive integers"
        raise argument_error("batch_sizes", expected, batch_sizes)
