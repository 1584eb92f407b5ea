"""Exports in every form, whole or not there at all."""

import itertools
import os
import shutil
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import Literal

import keras

from cb.engine.batch_sizes import check_batch_sizes
from cb.errors import InputError
from cb.errors import RunError
from cb.errors import one_line
from cb.export import graph as graphs
from cb.export.arguments import with_one_argument
from cb.export.calibration import MOST
from cb.export.checking import SIGNATURE
from cb.export.checking import inputs_for
from cb.export.checking import load_graph
from cb.export.comparison import USUAL
from cb.export.comparison import Comparison
from cb.export.forms import FORMS
from cb.export.forms import LITE_FORMS
from cb.export.forms import Source
from cb.export.forms import ways
from cb.export.lite import save_lite
from cb.export.measurement import Measured
from cb.export.measurement import fastest
from cb.export.measurement import measure
from cb.export.opening import symbolic_inputs
from cb.registry import check_arguments
from cb.registry import unknown

AUTO = "auto"
# What others are compared with.
BESIDE = ("dense", USUAL)
# How much accuracy a form with rounded weights may lose to be chosen.
LOSS = 0.005
# Names that TensorFlow, Keras and `cb` write to the folder of an export.
_SAVED_MODEL = frozenset(
    """
    assets assets.extra debug fingerprint.pb keras_metadata.pb saved_model.pb
    variables
    """.split()
)
_FILES = frozenset(name for form in FORMS.values() for name in form.files)
Goal = Literal["speed", "size"]


def save(
    model: keras.Model,
    path: str,
    form: str = "dense",
    batch_sizes: Sequence[int] = (1, 128),
    inputs: Any = None,
    representative: Any = None,
    goal: Goal = "speed",
) -> str:
    """Write a model in a form that needs neither `cb` nor Keras.

    The folder appears complete or not at all; an earlier one is replaced.
    It is loaded again and compared with the model.

    Args:
        model: Keras model, sparse or not, built. Subclassed models and
            layers made of other layers are opened for all forms but
            "dense": called on symbolic inputs, and compared.
        path: String, the folder to write. Of a LiteRT form a name that ends
            in `.tflite` is the file.
        form: `"dense"`: a SavedModel, kernels of full size with the masks
            folded in.
            `"compact"`: dead units and channels removed, see `compact`.
            `"sparse"`: compact, and only nonzeros are stored; layers are
            multiplied as sparse matrices where that is faster here.
            `"engine"`: a file of nonzeros that `cb.export.load` runs without
            Keras and TensorFlow; layers that the engine does not have run in
            TensorFlow between its parts.
            `"engine_int8"`: the same on bytes, calibrated, see `quantize`.
            `"lite"`, `"lite_float16"`, `"lite_int8"`: `model.tflite`, see
            `save_lite`.
            `"onnx"`: `model.onnx`, with all channels, see `two_of_four`;
            `"openvino"`: `model.xml` and `model.bin`, compact. They need
            packages of their own.
            `"auto"`: whichever of these is best on this machine. A SavedModel
            that cannot be written, and whatever differs, is left out with a
            warning. Forms of other runtimes that lack a layer of the model or
            are not installed, and forms that round weights when there is no
            `representative`, do not take part; `compare` says why.
        batch_sizes: Integers, at which it is measured what is faster.
        inputs: Structure of arrays or `keras.Input` as a subclassed model is
            called on, or a dict of them by argument if `call` takes several;
            only needed where these are not known.
        representative: Examples to calibrate int8 with, see `save_lite`.
        goal: `"speed"` or `"size"`, what `"auto"` chooses by.

    Returns:
        String, the form that was written.

    Raises:
        InputError: If an argument is wrong, the folder holds anything but
            an earlier export, or the model has no weights yet or cannot be
            opened as a graph of layers.
        RunError: If the outputs differ.

    Example:

    >>> cb.export.save(model, "exported", "lite_int8", representative=images)
    """
    if form in LITE_FORMS and str(path).endswith(".tflite"):
        quantize = LITE_FORMS[form]
        examples = representative if quantize == "int8" else None
        save_lite(model, path, quantize, examples, inputs=inputs)
        return form
    return compare(
        model, path, form, batch_sizes, inputs, representative, goal, ()
    ).form


def compare(
    model: keras.Model,
    path: str,
    form: str = AUTO,
    batch_sizes: Sequence[int] = (1, 128),
    inputs: Any = None,
    representative: Any = None,
    goal: Goal = "speed",
    beside: Sequence[str] = BESIDE,
    score: Callable[[Callable[[Any], Any]], float] | None = None,
) -> Comparison:
    """Write a model as `save` does, and measure it beside other forms.

    Args:
        model: As in `save`.
        path: As in `save`.
        form: As in `save`; all forms are measured for `"auto"`.
        batch_sizes: As in `save`.
        inputs: As in `save`.
        representative: As in `save`.
        goal: As in `save`.
        beside: Strings, forms to measure beside the one that is written; if
            there are any, the dense form is one of them.
        score: Function that returns the accuracy of a function of arrays.
            With it, `"auto"` chooses no form that loses more than half a
            point in a hundred.

    Returns:
        `Comparison`, which prints as a table of bytes, milliseconds and
        accuracy, and says why a form did not take part.

    Raises:
        InputError: As in `save`.
        RunError: As in `save`.

    Example:

    >>> print(cb.export.compare(model, "exported", representative=images))
    """
    check_form(form, goal)
    for name in beside:
        if name not in FORMS:
            raise unknown("form", name, FORMS)
    if isinstance(representative, Iterator):
        # Several forms read it.
        representative = [*itertools.islice(representative, MOST)]
    graphs.require(model)
    check_batch_sizes(batch_sizes)
    model, inputs = with_one_argument(model, inputs)
    inputs = symbolic_inputs(model, inputs)
    source = Source(model, batch_sizes, inputs, representative)
    # A symbolic link stays; the folder that it points to is replaced.
    path = os.path.realpath(path)
    _restore(path)
    _check_replaceable(path)
    # Inputs to measure on are drawn from the dense form.
    others = {"dense", *beside} if beside else set()
    absent = _absent(source) if form == AUTO else {}
    names = FORMS.keys() - absent if form == AUTO else {form}
    folders = {
        name: _aside(path, f"{name}.part")
        for name in FORMS
        if name in {*names, *others}
    }
    try:
        written, left_out = _write_all(source, folders, {"dense", form})
        rows = []
        if form == AUTO or beside:
            rows = _measure_all(source, written, score)
            form = _best(rows, goal) if form == AUTO else form
        _replace(path, written[form])
    finally:
        for part in folders.values():
            shutil.rmtree(part, ignore_errors=True)
    return Comparison(form, rows, absent | left_out)


def check_form(form: str, goal: Goal = "speed") -> None:
    """Raise `InputError` unless `save` knows a form and a goal."""
    if form not in (*FORMS, AUTO):
        raise unknown("form", form, (*FORMS, AUTO))
    check_arguments(save, goal=goal)


def _absent(source: Source) -> dict[str, str]:
    """Return why a form cannot be tried, by name."""
    absent = {}
    for name, form in FORMS.items():
        if form.missing:
            absent[name] = f"it needs `pip install {' '.join(form.missing)}`"
        elif form.rounded and source.representative is None:
            absent[name] = "there are no `representative` examples"
    return absent


def _write_all(source, folders, needed) -> tuple[dict, dict[str, str]]:
    """Write forms to folders.

    Returns:
        Tuple of a dict of name to folder, with all that are needed, and one of
        name to why a form could not be written.
    """
    written, left_out = {}, {}
    for name, folder in folders.items():
        # Remove files that a killed process left.
        shutil.rmtree(folder, ignore_errors=True)
        _make(folder)
        try:
            FORMS[name].write(source, folder)
        except (InputError, RunError) as error:
            if name in needed:
                raise
            # That a runtime of others lacks a layer is no fault of anything.
            if isinstance(error, RunError) or not FORMS[name].files:
                warnings.warn(f"Not as {name!r}: {error}", stacklevel=4)
            left_out[name] = one_line(error)
        else:
            written[name] = folder
    return written, left_out


def _measure_all(source, folders, score) -> list[Measured]:
    first = load_graph(folders["dense"]).signatures[SIGNATURE]
    inputs: dict[int, Any] = {}
    for size in source.batch_sizes:
        drawn = inputs_for(first, size)
        arrays = {name: value.numpy() for name, value in drawn.items()}
        single = len(arrays) == 1
        inputs[size] = next(iter(arrays.values())) if single else arrays
    found = [
        way
        for name, folder in folders.items()
        for way in ways(name, folder, source.batch_sizes)
    ]
    return measure(found, inputs, score=score)


def _best(rows: Sequence[Measured], goal: Goal) -> str:
    """Choose a form; one that rounds must be about as accurate."""
    least = (rows[0].accuracy or 0.0) - LOSS
    good = [
        row
        for row in rows
        if not FORMS[row.form].rounded
        or row.accuracy is None
        or row.accuracy >= least
    ]
    if goal == "size":
        return min(good, key=lambda row: row.size).form
    return fastest(good).form


def _check_replaceable(path: str) -> None:
    """Refuse to replace a folder that is not an export."""
    is_folder = os.path.isdir(path)
    entries = set(os.listdir(path)) if is_folder else set()
    others = sorted(entries - _SAVED_MODEL - _FILES)
    saved = not entries or entries & {"saved_model.pb", *_FILES}
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
            "Argument `path` must be in a folder that can be written. "
            f"Received: {os.path.dirname(folder)!r} ({error.strerror})"
        ) from error


def _aside(path: str, suffix: str) -> str:
    """Return a hidden folder beside one that is being replaced."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{suffix}")


def _restore(path: str) -> None:
    """Restore a folder that a killed process had set aside."""
    old = _aside(path, "old")
    if os.path.isdir(old) and not os.path.lexists(path):
        os.rename(old, path)


def _replace(path: str, new: str) -> None:
    """Replace a folder by another; the old one is deleted last."""
    old = _aside(path, "old")
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
