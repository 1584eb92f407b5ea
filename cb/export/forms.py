"""The table of forms: how each is written, and what runs it."""

import importlib.util
import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras

from cb.engine import NAME
from cb.export import interchange
from cb.export import lite
from cb.export import runtimes
from cb.export.any_form import load
from cb.export.engine_form import write_engine
from cb.export.measurement import Way
from cb.export.quantization import write_quantized
from cb.export.saved_model import write_saved_model

Open = Callable[[str, Sequence[int]], Callable[[Any], Any]]


class Source(NamedTuple):
    """What is exported, and for what.

    Attributes:
        model: Keras model.
        batch_sizes: Integers, at which it is measured what is faster.
        inputs: Structure of the model's symbolic inputs.
        representative: Examples to calibrate int8 with, or `None`.
    """

    model: keras.Model
    batch_sizes: Sequence[int]
    inputs: Any
    representative: Any = None


class Form(NamedTuple):
    """A form of export.

    Attributes:
        write: Function that writes a `Source` to a folder that exists.
        runtimes: Dict of what runs it, first what its files are made for, to
            a function that opens a folder for calls of some batch sizes.
        files: Strings, what it writes beside or instead of a SavedModel.
        rounded: Boolean, whether outputs differ by more than rounding.
        packages: Strings, what must be installed to write or run it.
    """

    write: Callable[[Source, str], None]
    runtimes: Mapping[str, Open]
    files: Sequence[str] = ()
    rounded: bool = False
    packages: Sequence[str] = ()

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        find = importlib.util.find_spec
        return [name for name in self.packages if find(name) is None]


def _saved_model(name: str, **others: Open) -> Form:
    def write(source, folder):
        write_saved_model(
            source.model, folder, name, source.batch_sizes, source.inputs
        )

    return Form(write, {"tensorflow": runtimes.open_graph, **others})


def _lite(quantize: lite.Quantize) -> Form:
    def write(source, folder):
        examples = source.representative if quantize == "int8" else None
        content = lite.lite_content(
            source.model, quantize, examples, inputs=source.inputs
        )
        with open(os.path.join(folder, runtimes.LITE), "wb") as opened:
            opened.write(content)

    run = {"litert": runtimes.open_lite}
    return Form(write, run, [runtimes.LITE], rounded=quantize is not None)


def _interchange(write: Callable, file: str, *others: str) -> Form:
    def write_source(source, folder):
        write(source.model, folder, source.inputs)

    name = runtimes.RUNTIMES[file]
    run = {name: runtimes.OPENS[file]}
    packages = interchange.PACKAGES[file]
    return Form(write_source, run, [file, *others], packages=packages)


LITE_FORMS: dict[str, lite.Quantize] = {
    "lite": None,
    "lite_float16": "float16",
    "lite_int8": "int8",
}


def _engine(quantized: bool = False) -> Form:
    def write(source, folder):
        if quantized:
            examples = source.representative
            write_quantized(source.model, folder, source.inputs, examples)
        else:
            write_engine(
                source.model, folder, source.inputs, source.batch_sizes
            )

    return Form(write, {"cb": load}, [NAME], quantized, ["numba"])


# Those that keep dead units, as positions in fours count.
WHOLE = ("dense", "engine_int8", "onnx")
FORMS = {
    "dense": _saved_model("dense"),
    "compact": _saved_model("compact"),
    "sparse": _saved_model("sparse", cb=load),
    "engine": _engine(),
    "engine_int8": _engine(quantized=True),
    **{name: _lite(quantize) for name, quantize in LITE_FORMS.items()},
    "onnx": _interchange(interchange.write_onnx, runtimes.ONNX),
    "openvino": _interchange(
        interchange.write_openvino, runtimes.OPENVINO, "model.bin"
    ),
}


def ways(name: str, folder: str, batch_sizes: Sequence[int]) -> Iterator[Way]:
    """Open a form with all that runs it.

    Args:
        name: String, the form.
        folder: String, where it was written.
        batch_sizes: Integers, examples in a call.

    Yields:
        `Way`, first that of the runtime that the files are made for.
    """
    for number, (runtime, opened) in enumerate(FORMS[name].runtimes.items()):
        label = f"{name}, in {runtime}" if number else name
        predict = opened(folder, batch_sizes)
        said = runtimes.version(runtime)
        if hasattr(predict, "arithmetic"):
            said = f"{said} ({predict.arithmetic})"
        yield Way(label, name, folder, said, predict)
