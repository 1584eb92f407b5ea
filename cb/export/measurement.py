"""Size and speed of exported models."""

import functools
import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from cb.costs.files import file_bytes
from cb.costs.latency import Latency
from cb.costs.latency import latency
from cb.export.checking import SIGNATURE
from cb.export.checking import inputs_for
from cb.export.loading import load

# How many times faster something must be to count as faster.
GAIN = 1.05


class Measured(NamedTuple):
    """Size and latencies of an export.

    Attributes:
        form: String, the form, or what else is measured.
        size: Integer, bytes of its files.
        latencies: Dict of batch size to `Latency`.
    """

    form: str
    size: int
    latencies: dict[int, Latency]

    def gain(self, other: "Measured") -> float:
        """Return the geometric mean of the speed-ups over another export."""
        logarithms = [
            math.log(other.latencies[size].median / found.median)
            for size, found in self.latencies.items()
        ]
        return math.exp(sum(logarithms) / len(logarithms))


def measure(
    form: str, path: str, batch_sizes: Sequence[int], seconds: float = 0.5
) -> Measured:
    """Measure a SavedModel as plain TensorFlow runs it.

    Args:
        form: String, what to call it.
        path: String, its folder.
        batch_sizes: Integers, examples in a call.
        seconds: Float, how long to time each for.

    Returns:
        `Measured`.
    """
    signature = tf.saved_model.load(path).signatures[SIGNATURE]

    def call(inputs):
        for tensor in keras.tree.flatten(signature(**inputs)):
            tensor.numpy()

    def prepared(size):
        return inputs_for(signature, size)

    return _measured(form, path, prepared, call, batch_sizes, seconds)


def measure_loaded(
    form: str, path: str, batch_sizes: Sequence[int], seconds: float = 0.5
) -> Measured:
    """Measure a SavedModel as `cb.export.load` runs it; see `measure`."""
    function: Any = load(path, batch_sizes)

    def prepared(size):
        inputs = inputs_for(function.signature, size)
        return {name: value.numpy() for name, value in inputs.items()}

    return _measured(form, path, prepared, function, batch_sizes, seconds)


def _measured(
    form, path, prepared: Callable, call: Callable, batch_sizes, seconds
) -> Measured:
    latencies = {
        size: latency(functools.partial(call, prepared(size)), seconds)
        for size in batch_sizes
    }
    return Measured(form, file_bytes(path), latencies)


def fastest(found: Sequence[Measured]) -> Measured:
    """Return the fastest, or the first unless another is clearly faster."""
    best = max(found, key=lambda item: item.gain(found[0]))
    return best if best.gain(found[0]) >= GAIN else found[0]
