"""Models with one input and one output, for files of other runtimes."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cb.errors import InputError
from cb.export import checking
from cb.export import graph as graphs
from cb.export.compaction import compact
from cb.export.opening import plain_graph


def plain_single(
    model: keras.Model, inputs: Any = None, block: int | None = 1
) -> keras.Model:
    """Make a plain model of one with one input and one output.

    Args:
        model: Keras model, sparse or not, built.
        inputs: As in `compact`.
        block: As in `compact`; `None` if dead channels stay.

    Returns:
        A functional Keras model.

    Raises:
        InputError: If it has not one input and one output, or cannot be
            opened as a graph of layers.
    """
    graphs.require(model)
    if block is None:
        small = plain_graph(model, inputs=inputs)
    else:
        small = compact(model, inputs=inputs, block=block)
    if len(small.inputs) != 1 or len(small.outputs) != 1:
        raise InputError(
            "Argument `model` must have one input and one output for this "
            f"form. Received: {len(small.inputs)} and {len(small.outputs)}"
        )
    if isinstance(small, keras.Sequential):
        # It does not tell its input, as functional models do.
        small = keras.Model(small.inputs[0], small.outputs[0], name=model.name)
    return small


def signature(small: keras.Model, examples: int | None = None) -> list[Any]:
    """Return the signature that Keras exports such a model with.

    Args:
        small: Keras model with one input.
        examples: Integer, the size of a batch; any by default.

    Returns:
        List of one structure, of a `tf.TensorSpec`.
    """
    (source,) = small.inputs
    shape = (examples, *source.shape[1:])
    spec = tf.TensorSpec(shape, source.dtype, source.name)
    return [keras.tree.pack_sequence_as(small.input, [spec])]


def compare(
    model: keras.Model,
    small: keras.Model,
    run: Callable[[np.ndarray], np.ndarray],
    tolerance: float,
    examples: np.ndarray | None = None,
) -> None:
    """Compare a file with the model that it was made from.

    Args:
        model: Keras model.
        small: What `plain_single` made of it.
        run: Function that runs the file.
        tolerance: Float, as in `checking.check_outputs`.
        examples: Array of inputs, instead of drawn ones.

    Raises:
        InputError: If the file cannot be run.
        RunError: If the outputs differ by more.
    """
    (source,) = small.inputs
    random = np.random.default_rng(0)
    with checking.kept_seeds(model):
        for size in checking.BATCHES:
            if examples is None:
                x = checking.draw(source.shape, source.dtype, random, size)
            else:
                x = tf.constant(examples[:size])
            arranged = keras.tree.pack_sequence_as(small.input, [x])
            outputs = checking.infer(model, arranged)
            (expected,) = keras.tree.flatten(outputs)
            found = run(x.numpy())
            checking.check_outputs(model.name, expected, found, tolerance)
