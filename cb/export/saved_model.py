"""SavedModels that plain TensorFlow loads."""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from cb.conversion import strip
from cb.engine import NAME
from cb.errors import InputError
from cb.errors import RunError
from cb.errors import first_cause
from cb.errors import one_line
from cb.export import checking
from cb.export import graph as graphs
from cb.export import program
from cb.export.any_form import check_batch_sizes
from cb.export.arguments import with_one_argument
from cb.export.choice import dense_calls
from cb.export.compaction import compact
from cb.export.engine_form import write_engine
from cb.export.loading import check_steps
from cb.export.measurement import fastest
from cb.export.measurement import measure
from cb.export.opening import symbolic_inputs
from cb.export.products import product
from cb.export.sparse_module import SparseGraph
from cb.files.aliases import plain_name
from cb.layers.traversal import ordered_layers
from cb.registry import unknown

FORMS = ("dense", "compact", "sparse", "auto", "engine")
_TABLES = (
    keras.layers.IntegerLookup,
    keras.layers.StringLookup,
    keras.layers.TextVectorization,
)
# Names that TensorFlow, Keras and `cb` write to the folder of a SavedModel.
_ENTRIES = frozenset(
    """
    assets assets.extra debug fingerprint.pb keras_metadata.pb saved_model.pb
    variables
    """.split()
    + [NAME]
)


def save(
    model: keras.Model,
    path: str,
    form: str = "dense",
    batch_sizes: Sequence[int] = (1, 128),
    inputs: Any = None,
) -> str:
    """Write a model as a SavedModel that needs neither `cb` nor Keras.

    The folder appears complete or not at all; an earlier one is replaced.
    It is loaded again and compared with the model.

    Args:
        model: Keras model, sparse or not, built. Subclassed models and
            layers made of other layers are opened for the forms "compact"
            and "sparse": called on symbolic inputs, and compared.
        path: String, the folder to write.
        form: `"dense"`: kernels of full size with the masks folded in.
            `"compact"`: dead units and channels removed, see `compact`.
            `"sparse"`: compact, and only nonzeros are stored; layers are
            multiplied as sparse matrices where that is faster here.
            `"auto"`: whichever of these plain TensorFlow runs fastest on
            this machine; a form that cannot be written is left out with a
            warning. `"engine"`: no SavedModel, but a file of nonzeros that
            `cb.export.load` runs without Keras and TensorFlow.
        batch_sizes: Integers, at which it is measured what is faster.
        inputs: Structure of arrays or `keras.Input` as a subclassed model is
            called on, or a dict of them by argument if `call` takes several;
            only needed where these are not known.

    Returns:
        String, the form that was written.

    Raises:
        InputError: If an argument is wrong, the folder holds anything but
            an earlier SavedModel, or the model has no weights yet or cannot
            be opened as a graph of layers.
        RunError: If the outputs differ.
    """
    if form not in FORMS:
        raise unknown("form", form, FORMS)
    graphs.require(model)
    check_batch_sizes(batch_sizes)
    model, inputs = with_one_argument(model, inputs)
    inputs = symbolic_inputs(model, inputs)
    # A symbolic link stays; the folder that it points to is replaced.
    path = os.path.realpath(path)
    _restore(path)
    _check_replaceable(path)
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        _make(part)
        if form == "auto":
            form = _write_fastest(model, part, batch_sizes, inputs)
        else:
            _write(model, part, form, batch_sizes, inputs)
        _replace(path, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return form


def _check_replaceable(path: str) -> None:
    """Refuse to replace a folder that is not an export."""
    is_folder = os.path.isdir(path)
    entries = set(os.listdir(path)) if is_folder else set()
    others = sorted(entries - _ENTRIES)
    saved = not entries or {"saved_model.pb", NAME} & entries
    if not os.path.lexists(path) or is_folder and saved and not others:
        return
    raise InputError(
        "Argument `path` must be new, an empty folder or that of an "
        f"earlier SavedModel alone. Received: path={path!r}"
        + (f" with {', '.join(others[:3])}" if others else "")
    )


def _make(folder: str) -> None:
    """Create the folder to write, or raise `InputError` with the reason."""
    try:
        os.makedirs(folder)
    except OSError as error:
        raise InputError(
            "Argument `path` must be a folder that can be written. "
            f"Received: {folder!r} ({error.strerror})"
        ) from error


def _set_aside(path: str) -> str:
    """Return the path of an old folder while it is being replaced."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.old")


def _restore(path: str) -> None:
    """Restore a folder that a killed process had set aside."""
    old = _set_aside(path)
    if os.path.isdir(old) and not os.path.lexists(path):
        os.rename(old, path)


def _replace(path: str, new: str) -> None:
    """Replace a folder by another; the old one is deleted last."""
    old = _set_aside(path)
    shutil.rmtree(old, ignore_errors=True)
    replaced = os.path.lexists(path)
    if replaced:
        os.rename(path, old)
    try:
        os.rename(new, path)
    except BaseException:
        if replaced:
            os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(model, folder, form, batch_sizes, inputs) -> None:
    os.makedirs(folder, exist_ok=True)
    with plain_name(folder) as path:
        _write_form(model, path, form, batch_sizes, inputs)


def _write_form(model, path, form, batch_sizes, inputs) -> None:
    if form == "engine":
        write_engine(model, path, inputs)
        return
    if form == "sparse":
        _write_sparse(compact(model, inputs=inputs), path, batch_sizes)
    elif form == "compact":
        write_plain(compact(model, inputs=inputs), path, inputs)
    else:
        plain = model
        # If a layer cannot be copied, the graph multiplies by the masks.
        with contextlib.suppress(InputError):
            plain = strip(model)
        write_plain(plain, path, inputs)
    batches = checking.check(model, path, inputs)
    if form == "sparse":
        check_steps(model, path, batches)


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
    try:
        archive.add_endpoint("serve", serve, [inputs])
        archive.write_out(path, verbose=False)
    except (TypeError, ValueError) as error:
        reason = one_line(first_cause(error))
        raise InputError(
            f"TensorFlow cannot export model {model.name!r}. Expected a `call` "
            "on inputs of any batch size, with tensors as outputs. Received: "
            f"{type(model).__name__} ({reason})"
        ) from error


def _write_fastest(model, path, batch_sizes, inputs) -> str:
    """Write every form, keep the fastest and return its name."""
    forms = [form for form in FORMS if form not in ("auto", "engine")]
    folders = {form: f"{path}.{form}" for form in forms}
    try:
        found = []
        for form, folder in folders.items():
            # Remove files that a killed process left.
            shutil.rmtree(folder, ignore_errors=True)
            try:
                _write(model, folder, form, batch_sizes, inputs)
            except (InputError, RunError) as error:
                if form == "dense":
                    raise
                warnings.warn(f"Not as {form!r}: {error}", stacklevel=4)
            else:
                found.append(measure(form, folder, batch_sizes))
        best = fastest(found).form
        os.rename(folders[best], path)
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
    return best


def _with_tables(model) -> list[keras.layers.Layer]:
    """List the layers with lookup tables, which are not variables."""
    found = [one for one in ordered_layers(model) if type(one) in _TABLES]
    # The table inside another of these is not built.
    return [layer for layer in found if layer.built]


def _write_sparse(model, path, batch_sizes) -> None:
    for layer in _with_tables(model):
        raise InputError(
            f"Layer {layer.name!r} holds a table, which is only written in the "
            f"forms 'dense' and 'compact'. Received: {type(layer).__name__}"
        )
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
            names = [f"x{number}" for number in numbers]
            sources = dict(zip(names, step.sources, strict=True))
            function = sparse.function(step.calls, sources, step.results)
            setattr(sparse.module, f"segment_{index}", function)
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
