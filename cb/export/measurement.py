"""Size and speed of exported models."""

import functools
import statistics
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras

from cb.costs.files import file_bytes
from cb.costs.latency import Latency
from cb.costs.latency import latency
from cb.export.any_form import load
from cb.export.checking import SIGNATURE
from cb.export.checking import inputs_for
from cb.export.checking import load_graph

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
        return statistics.geometric_mean(
            other.latencies[size].median / found.median
            for size, found in self.latencies.items()
        )


def measure(
    form: str, path: str, batch_sizes: Sequence[int], seconds: float = 0.5
) -> Measured:
    """Measure a SavedModel as plain TensorFlow runs it.

    Args:
        form: String, what to call it.
        path: String, its folder.
        batch_sizes: Integers, examples in a call.
        seconds: Float, for how long to time each.

    Returns:
        `Measured`.
    """
    signature = load_graph(path).signatures[SIGNATURE]

    def call(inputs):
        for tensor in keras.tree.flatten(signature(**inputs)):
            tensor.numpy()

    inputs = {size: inputs_for(signature, size) for size in batch_sizes}
    return _measured(form, path, inputs, call, seconds)


def measure_loaded(
    form: str, path: str, batch_sizes: Sequence[int], seconds: float = 0.5
) -> Measured:
    """Measure an export as `cb.export.load` runs it; see `measure`."""
    function: Any = load(path, batch_sizes)
    inputs = {size: function.draw(size) for size in batch_sizes}
    return _measured(form, path, inputs, function, seconds)


def _measured(form, path, inputs: dict, call: Callable, seconds) -> Measured:
    latencies = {
        size: latency(functools.partial(call, drawn), seconds)
        for size, drawn in inputs.items()
    }
    return Measured(form, file_bytes(path), latencies)


def fastest(found: Sequence[Measured]) -> Measured:
    """Return the fastest, or the first unless another is clearly faster."""
    best = max(found, key=lambda item: item.gain(found[0]))
    return best if best.gain(found[0]) >= GAIN else found[0]
