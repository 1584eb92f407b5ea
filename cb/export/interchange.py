"""Files for ONNX Runtime, OpenVINO and TensorRT, by Keras's own exports."""

import contextlib
import os
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import first_cause
from cb.errors import one_line
from cb.export import runtimes
from cb.export.single import compare
from cb.export.single import plain_single
from cb.export.single import signature
from cb.files.quiet import quiet_stderr
from cb.layers.traversal import ordered_layers

# Largest difference from another order of sums, in parts of the largest.
_TOLERANCE = 1e-3
_GROUP, _ACTIVE = 4, 2
# What writes a file, and what runs it.
PACKAGES = {
    runtimes.ONNX: ("tf2onnx", "onnxruntime"),
    runtimes.OPENVINO: ("openvino",),
}


def write_onnx(model: keras.Model, folder: str, inputs: Any = None) -> None:
    """Write a model to `model.onnx`, with all its channels.

    Args:
        model: Keras model with one input and one output, sparse or not.
        folder: String, a folder that exists.
        inputs: As in `cb.export.save`.

    Raises:
        InputError: If the model cannot be converted, or a package is missing.
        RunError: If the outputs of ONNX Runtime differ.
    """
    _write(model, folder, inputs, "onnx", runtimes.ONNX, runtimes.open_onnx)


def write_openvino(model: keras.Model, folder: str, inputs: Any = None) -> None:
    """Write a compact model to `model.xml`; see `write_onnx`."""
    name, run = runtimes.OPENVINO, runtimes.open_openvino
    _write(model, folder, inputs, "openvino", name, run)


def _write(model, folder, inputs, form, name, run: Callable) -> None:
    for needed in PACKAGES[name]:
        runtimes.package(needed)
    # Compaction would move channels out of their groups of four.
    block = None if form == "onnx" else 1
    small = plain_single(model, inputs, block=block)
    file = os.path.join(folder, name)
    # The converters write what they do to standard error.
    with warnings.catch_warnings(), quiet_stderr(), _gelu_by_erf(small):
        warnings.simplefilter("ignore")
        try:
            small.export(
                file,
                format=form,
                verbose=False,
                input_signature=signature(small),
            )
        except Exception as error:
            reason = one_line(first_cause(error))
            raise InputError(
                f"The converter to {form} cannot take {model.name!r}: {reason}"
            ) from error
    compare(model, small, run(folder), _TOLERANCE)


def _by_erf(x):
    return x * (0.5 + 0.5 * keras.ops.erf(x * 0.5**0.5))


@contextlib.contextmanager
def _gelu_by_erf(model) -> Iterator[None]:
    """Let layers compute GELU by a function that ONNX has, meanwhile."""
    found = [
        layer
        for layer in ordered_layers(model)
        if getattr(layer, "activation", None) is keras.activations.gelu
    ]
    try:
        for layer in found:
            layer.activation = _by_erf
        yield
    finally:
        for layer in found:
            layer.activation = keras.activations.gelu


def two_of_four(path: str) -> dict[str, bool]:
    """Check which kernels of an ONNX file have two zeros in every four.

    TensorRT runs such kernels on sparse tensor cores. Groups lie along the
    inputs, where `n_by_m` puts them; a last group of fewer than four counts
    as padded with zeros.

    Args:
        path: String, an ONNX file, or the folder of the form `"onnx"`.

    Returns:
        Dict of the name of a product or convolution to whether it fits.

    Raises:
        InputError: If there is no such file.

    Example:

    >>> cb.export.save(model, "exported", form="onnx")
    >>> cb.export.two_of_four("exported")
    {'dense_1/MatMul': True, 'logits/MatMul': False}
    """
    onnx = runtimes.package("onnx")
    if os.path.isdir(path):
        path = os.path.join(path, runtimes.ONNX)
    try:
        graph = onnx.load(path).graph
    except Exception as error:
        expected = "an ONNX file that can be read"
        raise argument_error("path", expected, path) from error
    kernels = {
        one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer
    }
    found = {}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            kernel = kernels.get(node.input[1])
            if kernel is not None:
                found[node.name] = _fits(np.moveaxis(kernel, _axis(node), -1))
    return found


def _axis(node) -> int:
    """Return the axis of a kernel that is summed over."""
    if node.op_type == "Conv":
        return 1
    transposed = any(one.name == "transB" and one.i for one in node.attribute)
    return -1 if transposed else -2


def _fits(kernel: np.ndarray) -> bool:
    rest = -kernel.shape[-1] % _GROUP
    padded = np.pad(kernel, [(0, 0)] * (kernel.ndim - 1) + [(0, rest)])
    groups = padded.reshape(-1, _GROUP)
    return bool((np.count_nonzero(groups, axis=1) <= _ACTIVE).all())
