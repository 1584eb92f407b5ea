"""LiteRT files: zeros stored away, in float32, float16 or int8."""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any
from typing import Literal

import keras
import tensorflow as tf

from cb.errors import InputError
from cb.errors import RunError
from cb.errors import first_cause
from cb.errors import one_line
from cb.export.calibration import examples_from
from cb.export.runtimes import LiteModel
from cb.export.single import compare
from cb.export.single import plain_single
from cb.export.single import signature
from cb.files import replacing
from cb.files.quiet import quiet_stderr
from cb.layers.traversal import ordered_layers
from cb.registry import check_arguments

Quantize = Literal["float16", "int8"] | None
# Largest difference of an output, in parts of the largest. Half precision
# keeps three digits, eight bits two; errors of layers add up.
_TOLERANCES = {None: 1e-3, "float16": 2e-2, "int8": 0.3}


def save_lite(
    model: keras.Model,
    path: str,
    quantize: Quantize = None,
    representative: Any = None,
    sparse: bool = True,
    inputs: Any = None,
) -> None:
    """Write a model for LiteRT: dead units removed, zeros not stored.

    The file is run and compared with the model.

    Args:
        model: Keras model with one input and one output, sparse or not.
        path: String, the file to write, by custom `NAME.tflite`.
        quantize: `None` for float32, `"float16"`: weights of half the size,
            `"int8"`: weights and activations in eight bits, where LiteRT has
            such a kernel. Inputs and outputs stay as they are.
        representative: Examples like those that the model will see, for the
            ranges of int8 activations: array `(examples, ...)`, iterable of
            batches with or without labels, or a function that returns one.
            At least 8, of which at most 1024 are read. Without them int8 is
            that of the weights alone, which needs `sparse=False`.
        sparse: Boolean, whether kernels with many zeros are stored without
            them. LiteRT runs them as dense ones, or faster if they are dense
            kernels whose zeros come in blocks of four inputs.
        inputs: As in `cb.export.save`.

    Raises:
        InputError: If an argument is wrong, the converter does not support
            the model, or the file cannot be written.
        RunError: If the outputs differ by more than the precision.

    Example:

    >>> cb.export.save_lite(model, "model.tflite", "int8", images[:200])
    """
    content = lite_content(
        model, quantize, representative, sparse, inputs=inputs
    )
    try:
        with replacing(path) as opened:
            opened.write(content)
    except OSError as error:
        raise InputError(
            "Argument `path` must be a file that can be written, in a folder "
            f"that is there. Received: path={str(path)!r} ({error.strerror})"
        ) from error


def lite_content(
    model: keras.Model,
    quantize: Quantize = None,
    representative: Any = None,
    sparse: bool = True,
    inputs: Any = None,
) -> bytes:
    """Return what `save_lite` writes.

    Of int8 the outputs are compared on the examples that it was calibrated
    with: other values may lie outside of the ranges found.
    """
    check_arguments(save_lite, quantize=quantize, sparse=sparse)
    if quantize == "int8" and sparse and representative is None:
        raise InputError(
            "Argument `representative` is needed for quantize='int8'. Without "
            "it only weights are in eight bits, and LiteRT computes such "
            "layers wrongly if zeros are not stored: expected examples, or "
            "sparse=False. Received: representative=None, sparse=True"
        )
    if quantize != "int8" and representative is not None:
        raise InputError(
            "Argument `representative` has a meaning with quantize='int8' "
            f"alone. Received: quantize={quantize!r}"
        )
    small = plain_single(model, inputs)
    examples = None
    if representative is not None:
        (source,) = small.inputs
        examples = examples_from(representative, source.shape, source.dtype)

    def written(convolutions: bool) -> bytes:
        with contextlib.ExitStack() as on:
            if convolutions:
                on.enter_context(_dense_as_convolutions(small))
            content = _converted(small, quantize, examples, sparse)
        run = LiteModel(content)
        compare(model, small, run, _TOLERANCES[quantize], examples)
        return content

    convolutions = sparse and quantize is not None
    try:
        return written(convolutions)
    except (InputError, RunError) as error:
        if not sparse:
            raise
        if not convolutions:
            return written(True)
        raise type(error)(
            f"{error} LiteRT lacks kernels for some layers whose zeros are "
            "not stored: expected sparse=False."
        ) from error


def _converted(model, quantize, examples, sparse) -> bytes:
    """Convert by Keras's own export.

    Networks with a loop over steps can only be converted for a batch of a
    fixed size. Calibrating one ends the process.
    """
    try:
        return _export(model, signature(model), quantize, examples, sparse)
    except InputError:
        if quantize == "int8":
            raise
        return _export(model, signature(model, 1), quantize, examples, sparse)


def _export(model, specs, quantize, examples, sparse) -> bytes:
    lite = tf.lite
    settings: dict[str, Any] = {
        "optimizations": [
            *([lite.Optimize.DEFAULT] if quantize else []),
            *([lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else []),
        ]
    }
    # Only what LiteRT itself can run, nothing that needs TensorFlow beside it.
    target: dict[str, Any] = {"supported_ops": [lite.OpsSet.TFLITE_BUILTINS]}
    if quantize == "float16":
        target["supported_types"] = [tf.float16]
    if examples is not None:
        settings["representative_dataset"] = lambda: (
            [examples[index : index + 1]] for index in range(len(examples))
        )
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as on:
        # The converter warns that it has moved to another package, and writes
        # what it does to standard error.
        on.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        on.enter_context(quiet_stderr())
        file = os.path.join(folder, "model.tflite")
        try:
            model.export(
                file,
                format="litert",
                verbose=False,
                input_signature=specs,
                target_spec=target,
                **settings,
            )
        except Exception as error:
            reason = one_line(first_cause(error))
            raise InputError(
                f"The LiteRT converter cannot take {model.name!r}: {reason}"
            ) from error
        with open(file, "rb") as opened:
            return opened.read()


class _Convolution(keras.layers.Dense):
    """A dense layer, computed as a convolution of one position."""

    def call(self, inputs, training=None):
        inside = inputs.shape[1:-1]
        if None in inside:
            return super().call(inputs, training)
        kernel = self.kernel
        x = tf.reshape(inputs, (-1, 1, 1, kernel.shape[0]))
        x = tf.nn.conv2d(x, kernel[None, None], 1, "SAME")
        if self.use_bias:
            x = tf.nn.bias_add(x, self.bias)
        x = self.activation(x)
        return tf.reshape(x, (-1, *inside, kernel.shape[1]))


@contextlib.contextmanager
def _dense_as_convolutions(model) -> Iterator[None]:
    """Let dense layers of a model be convolutions, meanwhile.

    LiteRT expands kernels of convolutions that are stored without zeros, at
    the speed of a product. Those of dense layers in int8 fail to load (2.3) or
    give wrong outputs; in float16 too, if zeros come in blocks, and in float32
    if such a layer is small.
    """
    found = [
        layer
        for layer in ordered_layers(model)
        if type(layer) is keras.layers.Dense and not layer.quantization_mode
    ]
    try:
        for layer in found:
            layer.__class__ = _Convolution
        yield
    finally:
        for layer in found:
            layer.__class__ = keras.layers.Dense
