"""Networks on bytes, from Keras models and calibration data."""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cb.conversion import strip
from cb.errors import InputError
from cb.errors import argument_error
from cb.export.engine_form import engine_graph
from cb.kernels.threads import require_numba

# Examples at a time, whose values are all kept.
_EXAMPLES = 8


def quantize(model: keras.Model, data: Any, percentile: float = 99.99) -> Any:
    """Quantize a model for the engine: int8 weights, activations of 8 bits.

    Each output of a layer has a scale of its own for its weights; the range of
    each activation is found on data. Sparse kernels stay sparse, and are fast
    where their zeros come in blocks of four input channels,
    `granularity="block(rows=4, columns=1)"`.

    Args:
        model: Keras model with one input and one output, of layers that the
            engine has, sparse or not.
        data: Array `(examples, ...)` of inputs as in real use, without labels,
            or an iterable of such batches, like a `tf.data.Dataset`. Some
            hundred examples will do.
        percentile: Float in (50, 100], the share of the values of an
            activation that is in its range. 100 gives outliers a byte too, and
            the others coarser steps.

    Returns:
        `cb.engine.QuantizedNetwork`: a function of arrays, with
        `save(folder)` for `cb.export.load`.

    Raises:
        InputError: If there is no data, or it does not fit the model, or
            holds labels or numbers that are not finite; or if the engine does
            not have a layer.

    Example:

    >>> network = cb.export.quantize(model, images[:256])
    >>> network.save("exported")
    >>> predict = cb.export.load("exported")
    """
    require_numba()
    from cb.engine.calibration import calibrate
    from cb.engine.calibration import fold
    from cb.engine.calibration import round_kernels
    from cb.engine.int8_network import QuantizedNetwork

    if not isinstance(percentile, int | float) or not 50 < percentile <= 100:
        raise argument_error("percentile", "in (50, 100]", percentile)
    # Not compacted: channels would leave their blocks of four.
    graph, inputs, outputs = engine_graph(strip(model))
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            "Argument `model` must have one input and one output. Received: "
            f"{len(inputs)} and {len(outputs)}"
        )
    (shape,) = inputs.values()
    (source,) = graph.inputs
    batches = (
        part.reshape(-1, *graph.shapes[source])
        for batch in _batches(data, shape)
        for part in np.array_split(batch, -(-len(batch) // _EXAMPLES))
    )
    folded = fold(graph)
    ranges = calibrate(folded, batches, percentile)
    if not ranges:
        raise _error("at least one example", "none")
    quantized = round_kernels(folded, ranges)
    return QuantizedNetwork(quantized, inputs, outputs)


def _batches(data: Any, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield the batches of calibration data; refuse what does not fit."""
    if isinstance(data, np.ndarray) or tf.is_tensor(data):
        data = [data]
    if isinstance(data, str | bytes | dict) or not isinstance(data, Iterable):
        expected = "an array of inputs or an iterable of arrays"
        raise _error(expected, type(data).__name__)
    for batch in data:
        if isinstance(batch, tuple | list | dict):
            found = f"a {type(batch).__name__} of {len(batch)}"
            raise _error("batches of inputs alone, without labels", found)
        array = np.asarray(batch)
        if array.dtype.kind not in "fiub":
            raise _error("real numbers", array.dtype)
        if array.shape[1:] != shape or array.ndim < 1:
            expected = f"batches of the shape {(None, *shape)}"
            raise _error(expected, array.shape)
        if not np.isfinite(array).all():
            raise _error("finite", "numbers that are NaN or infinite")
        if len(array):
            yield array.astype("float32")


def _error(expected: str, found: Any) -> InputError:
    return InputError(
        f"Argument `data` must be {expected}, for the ranges of activations. "
        f"Received: {found}"
    )
