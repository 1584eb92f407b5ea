"""Latency: measured time of a call on this machine."""

import statistics
import time
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from cb.costs.trace import input_specs
from cb.kernels.threads import threads

# The least number of timed calls, however long they take.
LEAST = 10


class Latency(NamedTuple):
    """Times of many calls.

    Attributes:
        median: Float, seconds.
        low: Float, seconds, a quarter of the calls were faster.
        high: Float, seconds, a quarter of the calls were slower.
        calls: Integer, how many were timed.
        threads: Integer, how many TensorFlow may use for one operation.
    """

    median: float
    low: float
    high: float
    calls: int
    threads: int

    @property
    def nanoseconds(self) -> int:
        """The median in whole nanoseconds."""
        return round(self.median * 1e9)

    def __str__(self) -> str:
        return (
            f"{self.median * 1e3:.3f} ms (half of {self.calls} calls within "
            f"{self.low * 1e3:.3f} to {self.high * 1e3:.3f}, {self.threads} "
            "threads)"
        )


def latency(call: Callable[[], Any], seconds: float = 1.0) -> Latency:
    """Time a call repeatedly after it has warmed up.

    Args:
        call: Function without arguments that returns when its result is
            there.
        seconds: Float, how long to time it, after a quarter as long to warm
            up.

    Returns:
        `Latency` of at least ten calls.
    """
    start = time.perf_counter()
    call()
    while time.perf_counter() - start < seconds / 4:
        call()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < LEAST or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    low, median, high = statistics.quantiles(times, n=4)
    return Latency(median, low, high, len(times), threads())


def model_latency(
    model: keras.Model,
    batch_size: int = 1,
    input_shape: Any = None,
    seconds: float = 1.0,
) -> Latency:
    """Time the inference of a Keras model as a compiled graph.

    Args:
        model: Built Keras model. Masked layers multiply by their masks at
            every call: pass `cb.strip(model)` to time the deployed model.
        batch_size: Integer, examples in a call.
        input_shape: Structure of tuples, as in `cb.costs.costs`.
        seconds: Float, as in `latency`.

    Returns:
        `Latency` of a batch.
    """
    inputs = keras.tree.map_structure(
        lambda spec: tf.zeros((batch_size, *spec.shape[1:]), spec.dtype),
        input_specs(model, input_shape),
    )
    training = {"training": False} if model._call_has_training_arg else {}
    function = tf.function(
        lambda inputs: model(inputs, **training), autograph=False
    ).get_concrete_function(inputs)

    def call():
        for tensor in keras.tree.flatten(function(inputs)):
            tensor.numpy()

    return latency(call, seconds)
