"""LiteRT files of compacted models, weights in half precision."""

import tempfile
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cb.errors import InputError
from cb.errors import one_line
from cb.export import checking
from cb.export import graph as graphs
from cb.export.compaction import compact
from cb.export.saved_model import write_plain
from cb.files import replacing

# Half precision keeps three digits; errors of layers add up.
_TOLERANCE = 2e-2


def save_lite(model: keras.Model, path: str, inputs: Any = None) -> None:
    """Write a model for LiteRT: dead units removed, weights in float16.

    The converted model is run and compared with the original.

    Args:
        model: Keras model with one input and one output, sparse or not.
        path: String, the file to write, by custom `NAME.tflite`.
        inputs: As in `cb.export.save`.

    Raises:
        InputError: If the converter does not support the model, or the file
            cannot be written.
        RunError: If the outputs differ by more than half precision.
    """
    graphs.require(model)
    small = compact(model, inputs=inputs)
    if len(small.inputs) != 1 or len(small.outputs) != 1:
        raise InputError(
            "Argument `model` must have one input and one output. Received: "
            f"{len(small.inputs)} and {len(small.outputs)}"
        )
    contents = _converted(small)
    (source,) = small.inputs
    random = np.random.default_rng(0)
    with checking.kept_seeds(model):
        for size in checking.BATCHES:
            x = checking.draw(source.shape, source.dtype, random, size)
            arranged = keras.tree.pack_sequence_as(small.input, [x])
            outputs = checking.infer(model, arranged)
            (expected,) = keras.tree.flatten(outputs)
            found = run_lite(contents, x.numpy())
            checking.check_outputs(model.name, expected, found, _TOLERANCE)
    try:
        with replacing(path) as opened:
            opened.write(contents)
    except OSError as error:
        raise InputError(
            "Argument `path` must be a file that can be written, in a folder "
            f"that is there. Received: path={str(path)!r} ({error.strerror})"
        ) from error


def _converted(model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_plain(model, folder, model.input)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        try:
            return converter.convert()
        except Exception as error:
            reason = one_line(error)
            raise InputError(
                f"The LiteRT converter cannot take {model.name!r}: {reason}"
            ) from error


def run_lite(contents: bytes, x: np.ndarray) -> np.ndarray:
    """Run a converted model.

    Args:
        contents: Bytes of the file.
        x: Array, its input.

    Returns:
        Float array, its output.
    """
    with warnings.catch_warnings():
        # `tf.lite.Interpreter` warns that it has moved to another package.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_content=contents)
    (source,) = interpreter.get_input_details()
    (result,) = interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(result["index"])
