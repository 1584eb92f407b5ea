"""Runtimes of other projects, as functions of arrays."""

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import threading
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from cb.errors import InputError
from cb.errors import one_line
from cb.export.checking import SIGNATURE
from cb.export.checking import load_graph
from cb.export.input_arrays import run_checked
from cb.files.quiet import quiet_stderr
from cb.kernels.threads import threads as all_threads

Predict = Callable[[Any], Any]
# Files in the folder of a form that is no SavedModel, and what runs them.
LITE, ONNX, OPENVINO = "model.tflite", "model.onnx", "model.xml"
RUNTIMES = {ONNX: "onnxruntime", OPENVINO: "openvino"}
# Types of ONNX that have another name than those of NumPy.
_ONNX_TYPES = {"double": "float64", "float": "float32"}


class LiteModel:
    """A LiteRT file as a function of an array; threads may share it.

    A file for a single example at a time runs one after the other.

    Args:
        content: Bytes of the file.
        threads: Integer; by default as many as TensorFlow takes.

    Raises:
        InputError: If LiteRT cannot run it.
    """

    def __init__(self, content: bytes, threads: int | None = None):
        # It says on standard error what else it does.
        with quiet_stderr(), _refused("LiteRT"):
            self._interpreter = _interpreter(content, threads or all_threads())
            (self._input,) = self._interpreter.get_input_details()
            (self._output,) = self._interpreter.get_output_details()
        signature = self._input["shape_signature"]
        batch, *sides = (None if side < 0 else int(side) for side in signature)
        # The largest batch of a call, if the file has one.
        self._batch = batch
        name = _argument(self._interpreter, self._input)
        self._inputs = {name: ((None, *sides), self._input["dtype"])}
        self._allocated = False
        self._shape: tuple[int, ...] | None = None
        self._lock = threading.Lock()

    def __call__(self, x: Any) -> np.ndarray:
        return run_checked(self._run, x, self._inputs)

    def _run(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        (x,) = arrays.values()
        if self._batch is not None and len(x) > self._batch:
            return np.concatenate([self(one[None]) for one in x])
        with self._lock, _refused("LiteRT"):
            if x.shape != self._shape:
                self._allocate(x.shape)
            self._interpreter.set_tensor(self._input["index"], x)
            self._interpreter.invoke()
            return self._interpreter.get_tensor(self._output["index"])

    def _allocate(self, shape: tuple[int, ...]) -> None:
        self._shape = None
        with contextlib.ExitStack() as on:
            if not self._allocated:
                # It says once which kernels it takes.
                on.enter_context(quiet_stderr())
            on.enter_context(_refused("LiteRT"))
            self._interpreter.resize_tensor_input(self._input["index"], shape)
            self._interpreter.allocate_tensors()
        self._allocated, self._shape = True, shape


@contextlib.contextmanager
def _refused(runtime: str) -> Iterator[None]:
    """Raise `InputError` for whatever a runtime raises."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{runtime} must be able to run the file, with one input and one "
            f"output. Received: {one_line(error)}"
        ) from error


def _argument(interpreter: Any, source: dict[str, Any]) -> str:
    """Return the name of the input of a file, as its model has it."""
    signatures = interpreter.get_signature_list().values()
    names = {name for one in signatures for name in one["inputs"]}
    return names.pop() if len(names) == 1 else source["name"]


def _interpreter(content: bytes, threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        with warnings.catch_warnings():
            # It warns that it has moved to the package `ai-edge-litert`.
            warnings.simplefilter("ignore")
            return tf.lite.Interpreter(
                model_content=content, num_threads=threads
            )
    return Interpreter(model_content=content, num_threads=threads)


def open_graph(path: str, batch_sizes: Sequence[int] = ()) -> Predict:
    """Open a SavedModel as plain TensorFlow runs it."""
    del batch_sizes
    saved = load_graph(path)
    signature = saved.signatures[SIGNATURE]
    names = [*signature.structured_input_signature[1]]

    def predict(x):
        # The model stays alive as long as its function is used.
        arrays = x if isinstance(x, dict) else dict.fromkeys(names, x)
        tensors = {name: tf.constant(arrays[name]) for name in names}
        outputs = saved.signatures[SIGNATURE](**tensors)
        found = {name: value.numpy() for name, value in outputs.items()}
        return found if len(found) > 1 else next(iter(found.values()))

    return predict


def open_lite(path: str, batch_sizes: Sequence[int] = ()) -> LiteModel:
    """Open the LiteRT file in a folder."""
    del batch_sizes
    with open(os.path.join(path, LITE), "rb") as opened:
        return LiteModel(opened.read())


def open_onnx(path: str, batch_sizes: Sequence[int] = ()) -> Predict:
    """Open the file in a folder with ONNX Runtime."""
    del batch_sizes
    runtime = package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = all_threads()
    with _refused("ONNX Runtime"):
        session = runtime.InferenceSession(
            os.path.join(path, ONNX), options, ["CPUExecutionProvider"]
        )
        (source,) = session.get_inputs()
    # Sides that are not fixed have names.
    shape = (side if isinstance(side, int) else None for side in source.shape)
    specs = {source.name: ((*shape,), _onnx_type(source))}

    def run(arrays):
        with _refused("ONNX Runtime"):
            (y,) = session.run(None, arrays)
        return y

    return functools.partial(run_checked, run, specs=specs)


def _onnx_type(source: Any) -> np.dtype:
    """Return the type of the arrays that an input of a file takes."""
    kind = source.type.removeprefix("tensor(").removesuffix(")")
    try:
        return np.dtype(_ONNX_TYPES.get(kind, kind))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Input {source.name!r} must hold numbers that NumPy has. "
            f"Received: {source.type}"
        ) from error


def open_openvino(path: str, batch_sizes: Sequence[int] = ()) -> Predict:
    """Open the files in a folder with OpenVINO, in float32."""
    del batch_sizes
    openvino = package("openvino")
    settings = {
        "INFERENCE_NUM_THREADS": all_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    file = os.path.join(path, OPENVINO)

    def compiled():
        return openvino.Core().compile_model(file, "CPU", settings)

    with _refused("OpenVINO"):
        model = compiled()
        source = model.input(0)
        shape = (
            side.get_length() if side.is_static else None
            for side in source.get_partial_shape()
        )
        dtype = source.get_element_type().to_dtype()
        specs = {source.get_any_name(): ((*shape,), dtype)}

    def run(arrays):
        nonlocal model
        (x,) = arrays.values()
        try:
            with _refused("OpenVINO"):
                # A copy, since the next call overwrites the result.
                return np.array(model(x)[0])
        except InputError:
            # After one failure every call would fail.
            model = compiled()
            raise

    return functools.partial(run_checked, run, specs=specs)


# Files of forms that are no SavedModel, in the folder that `save` writes.
OPENS: dict[str, Callable[[str, Sequence[int]], Predict]] = {
    LITE: open_lite,
    ONNX: open_onnx,
    OPENVINO: open_openvino,
}


def open_file(path: str) -> Predict | None:
    """Open what a folder contains that is no SavedModel, if anything.

    Args:
        path: String, a folder.

    Returns:
        Function from an array to an array, or `None`.

    Raises:
        InputError: If a package is missing that runs it.
    """
    for name, opened in OPENS.items():
        if os.path.isfile(os.path.join(path, name)):
            return opened(path, ())
    return None


def package(name: str) -> Any:
    """Import an optional package.

    Args:
        name: String, the name of its module.

    Returns:
        The module.

    Raises:
        InputError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"The package `{name}` is needed: `pip install {name}`. "
            f"Received: {one_line(error)}"
        ) from error


def version(name: str) -> str:
    """Return the name of a runtime with its version, for tables."""
    package, label = name, name
    if name == "litert":
        newer = importlib.util.find_spec("ai_edge_litert") is not None
        package = "ai-edge-litert" if newer else "tensorflow"
        label = package if newer else "tf.lite"
    if name == "cb":
        return name
    return f"{label} {importlib.metadata.version(package)}"
