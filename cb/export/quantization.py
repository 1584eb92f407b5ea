"""Networks on bytes, from Keras models and calibration data."""

from typing import Any

import keras
import numpy as np

from cb.errors import argument_error
from cb.export.calibration import examples_from
from cb.export.engine_form import engine_graph
from cb.export.single import compare
from cb.export.single import plain_single
from cb.kernels.threads import require_numba

# Examples at a time, whose values are all kept.
_EXAMPLES = 8
# The largest difference of an output, as of LiteRT's files in int8.
_TOLERANCE = 0.3


def quantize(model: keras.Model, data: Any, percentile: float = 99.99) -> Any:
    """Quantize a model for the engine: int8 weights, activations of 8 bits.

    Each output of a layer has a scale of its own for its weights; the range of
    each activation is found on data. Sparse kernels stay sparse, and are fast
    where their zeros come in blocks of four input channels,
    `granularity="block(rows=4, columns=1)"`.

    Args:
        model: Keras model with one input and one output, of layers that the
            engine has, sparse or not.
        data: Inputs as in real use, as in `save_lite`: array
            `(examples, ...)`, iterable of batches with or without labels, or
            a function that returns one. At least 8, of which at most 1024 are
            read; some hundred will do.
        percentile: Float in (50, 100], the share of the values of an
            activation that is in its range. 100 gives outliers a byte too, and
            the others coarser steps.

    Returns:
        `cb.engine.QuantizedNetwork`: a function of arrays, with
        `save(folder)` for `cb.export.load`.

    Raises:
        InputError: If there are too few data, or they do not fit the model, or
            hold numbers that are not finite; or if the engine does not have a
            layer.

    Example:

    >>> network = cb.export.quantize(model, images[:256])
    >>> network.save("exported")
    >>> predict = cb.export.load("exported")
    """
    if not isinstance(percentile, int | float) or not 50 < percentile <= 100:
        raise argument_error("percentile", "in (50, 100]", percentile)
    small = _plain(model, None)
    return _quantized(small, _examples(small, data, "data"), percentile)


def write_quantized(
    model: keras.Model, path: str, inputs: Any, representative: Any
) -> None:
    """Write a model on bytes for the engine, and compare the two.

    Args:
        model: Keras model, built.
        path: String, a folder that exists.
        inputs: Structure of the model's symbolic inputs.
        representative: As `data` in `quantize`.

    Raises:
        InputError: As in `quantize`.
        RunError: If outputs differ by more than the precision.
    """
    small = _plain(model, inputs)
    examples = _examples(small, representative, "representative")
    _quantized(small, examples).save(path)
    from cb.engine.file import load

    compare(model, small, load(path), _TOLERANCE, examples)


def _plain(model, inputs) -> keras.Model:
    require_numba()
    # Channels stay in the blocks of four that weights are stored in.
    return plain_single(model, inputs, block=4)


def _examples(small, data, name: str) -> np.ndarray:
    (source,) = small.inputs
    return examples_from(data, source.shape, source.dtype, name)


def _quantized(small, examples: np.ndarray, percentile: float = 99.99) -> Any:
    from cb.engine.calibration import calibrate
    from cb.engine.calibration import fold
    from cb.engine.calibration import round_kernels
    from cb.engine.int8_network import QuantizedNetwork

    graph, inputs, outputs = engine_graph(small)
    (source,) = graph.inputs
    images = examples.reshape(-1, *graph.shapes[source])
    batches = np.array_split(images, -(-len(images) // _EXAMPLES))
    folded = fold(graph)
    ranges = calibrate(folded, batches, percentile)
    return QuantizedNetwork(round_kernels(folded, ranges), inputs, outputs)
