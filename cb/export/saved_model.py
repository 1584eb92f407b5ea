"""SavedModels that plain TensorFlow loads."""

import contextlib
import json
import os
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from cb.conversion import strip
from cb.errors import InputError
from cb.errors import first_cause
from cb.errors import one_line
from cb.export import checking
from cb.export import graph as graphs
from cb.export import program
from cb.export.choice import dense_calls
from cb.export.compaction import compact
from cb.export.loading import check_steps
from cb.export.products import product
from cb.export.sparse_module import SparseGraph
from cb.files.aliases import plain_name
from cb.files.quiet import quiet_tensorflow
from cb.layers.traversal import ordered_layers

_TABLES = (
    keras.layers.IntegerLookup,
    keras.layers.StringLookup,
    keras.layers.TextVectorization,
)


def write_saved_model(
    model: keras.Model,
    folder: str,
    form: str,
    batch_sizes: Sequence[int],
    inputs: Any,
) -> None:
    """Write a model as a SavedModel and compare it with the model.

    Args:
        model: Keras model.
        folder: String, a folder that exists.
        form: `"dense"`, `"compact"` or `"sparse"`.
        batch_sizes: Integers, at which it is measured what is faster.
        inputs: Structure of the model's symbolic inputs.

    Raises:
        InputError: If TensorFlow cannot export the model in that form.
        RunError: If the outputs differ.
    """
    with plain_name(folder) as path, quiet_tensorflow():
        _write_form(model, path, form, batch_sizes, inputs)


def _write_form(model, path, form, batch_sizes, inputs) -> None:
    if form == "sparse":
        with refused_in_a_line(model):
            _write_sparse(compact(model, inputs=inputs), path, batch_sizes)
    elif form == "compact":
        write_plain(compact(model, inputs=inputs), path, inputs)
    else:
        plain = model
        # If a layer cannot be copied, the graph multiplies by the masks.
        with contextlib.suppress(InputError):
            plain = strip(model)
        write_plain(plain, path, inputs)
    saved, batches = checking.check(model, path, inputs)
    if form == "sparse":
        check_steps(model, path, saved, batches)


def write_plain(model: keras.Model, path: str, inputs: Any) -> None:
    """Write a model as a SavedModel of its inference.

    As `model.export` does, but every variable is stored once, and layers that
    train unless they are told not to, such as augmentations, do not.

    Args:
        model: Keras model.
        path: String, the folder to write.
        inputs: Structure of the model's symbolic inputs.
    """

    def serve(*args):
        return checking.infer(model, *args)

    archive = keras.export.ExportArchive()
    for layer in _with_tables(model):
        archive.track(layer)
    with refused_in_a_line(model):
        archive.add_endpoint("serve", serve, [inputs])
        archive.write_out(path, verbose=False)


@contextlib.contextmanager
def refused_in_a_line(model: keras.Model) -> Iterator[None]:
    """Say what the model must be where TensorFlow cannot trace it."""
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        reason = one_line(first_cause(error))
        raise InputError(
            f"TensorFlow cannot export model {model.name!r}. Expected a `call` "
            "on inputs of any batch size, with tensors as outputs. Received: "
            f"{type(model).__name__} ({reason})"
        ) from error


def _with_tables(model) -> list[keras.layers.Layer]:
    """List the layers with lookup tables, which are not variables."""
    found = [one for one in ordered_layers(model) if type(one) in _TABLES]
    # The table inside another of these is not built.
    return [layer for layer in found if layer.built]


def refuse_tables(model: keras.Model) -> None:
    """Raise `InputError` if a layer holds a lookup table."""
    for layer in _with_tables(model):
        raise InputError(
            f"Layer {layer.name!r} holds a table, which is only written in the "
            f"forms 'dense' and 'compact'. Received: {type(layer).__name__}"
        )


def _write_sparse(model, path, batch_sizes) -> None:
    refuse_tables(model)
    graph = graphs.trace(model)
    candidates = {call: product(call) for call in graph.calls}
    products = {call: item for call, item in candidates.items() if item}
    sparse = SparseGraph(graph, products, dense_calls(products, batch_sizes))
    values = keras.tree.flatten(graph.inputs)
    names = [checking.argument_name(layer.name) for layer in graph.layers]
    sources = dict(zip(names, values, strict=True))
    results = checking.named_outputs(graph.outputs)
    serve = sparse.function(graph.calls, sources, results)
    found = program.steps(graph, products)
    description = program.describe(graph, found, products)
    for index, step in enumerate(found):
        if isinstance(step, program.Segment):
            numbers = description["steps"][index]["sources"]
            sparse.add_segment(index, step, numbers)
        elif step.ending is not None:
            spec = tf.TensorSpec(step.result.shape, step.result.dtype)
            function = tf.function(step.ending, input_signature=[spec])
            setattr(sparse.module, f"ending_{index}", function)
    tf.saved_model.save(
        sparse.module, path, signatures={checking.SIGNATURE: serve}
    )
    if found:
        file = os.path.join(path, *program.FILE)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w") as stream:
            json.dump(description, stream, indent=1)
