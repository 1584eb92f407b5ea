"""Size, speed and accuracy of exported models."""

import functools
import random
import statistics
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from cb.costs.files import file_bytes
from cb.costs.latency import Latency
from cb.kernels.threads import threads

# How many times faster something must be to count as faster.
GAIN = 1.05
# A contestant calls for so many seconds in a turn, and as long before these, so
# that it is as warm as where it is alone, and there are at least so many turns.
_TURN_SECONDS, _TURNS = 0.01, 15
# Threads of some runtimes spin so long after a call, waiting for the next.
_SPIN_SECONDS = 0.01


class Way(NamedTuple):
    """A way to run an export.

    Attributes:
        label: String, the form, and what runs it if there are several.
        form: String, the form.
        path: String, its files.
        runtime: String, what runs it, with its version.
        predict: Function from an array, or a dict of arrays by name, to one.
    """

    label: str
    form: str
    path: str
    runtime: str
    predict: Callable[[Any], Any]


class Measured(NamedTuple):
    """Size, latencies and accuracy of an export.

    Attributes:
        label: String, as in `Way`.
        size: Integer, bytes of its files.
        latencies: Dict of batch size to `Latency`.
        form: String, the form.
        runtime: String, what ran it, with its version.
        accuracy: Float, in [0, 1], of these very files; or `None`.
    """

    label: str
    size: int
    latencies: dict[int, Latency]
    form: str = ""
    runtime: str = ""
    accuracy: float | None = None

    def gain(self, other: "Measured") -> float:
        """Return the geometric mean of the speed-ups over another export."""
        return statistics.geometric_mean(
            other.latencies[size].median / found.median
            for size, found in self.latencies.items()
        )


def measure(
    ways: Sequence[Way],
    inputs: Mapping[int, Any],
    seconds: float = 0.5,
    score: Callable[[Callable[[Any], Any]], float] | None = None,
) -> list[Measured]:
    """Measure ways to run a model, which take turns in this process.

    Args:
        ways: List of `Way`.
        inputs: Dict of a batch size to an array or a dict of arrays by name.
        seconds: Float, for how long to time each with each batch.
        score: Function that returns the accuracy of a function of arrays.

    Returns:
        List of `Measured`.
    """
    latencies: list[dict[int, Latency]] = [{} for _ in ways]
    for size, x in inputs.items():
        calls = {
            str(index): functools.partial(way.predict, x)
            for index, way in enumerate(ways)
        }
        for index, times in take_turns(calls, seconds).items():
            low, median, high = statistics.quantiles(times, n=4)
            latencies[int(index)][size] = Latency(
                median, low, high, len(times), threads()
            )
    return [
        Measured(
            way.label,
            file_bytes(way.path),
            found,
            way.form,
            way.runtime,
            score and score(way.predict),
        )
        for way, found in zip(ways, latencies, strict=True)
    ]


def take_turns(
    calls: Mapping[str, Callable[[], Any]], seconds: float
) -> dict[str, list[float]]:
    """Time calls that take turns, so that a busy machine is fair to all.

    Args:
        calls: Dict of a name to a function without arguments, which returns
            when its result is there.
        seconds: Float, for how long to time each; it has at least 15 turns.

    Returns:
        Dict of a name to the seconds of a call, turn by turn.
    """
    numbers = {name: _calls_in_a_turn(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or len(times[order[0]]) < _TURNS:
        # In another order every time, so that all suffer alike from others.
        random.shuffle(order)
        for name in order:
            call, number = calls[name], numbers[name]
            time.sleep(_SPIN_SECONDS)
            # The others have emptied the caches, its threads are asleep, and
            # may for some milliseconds wait for one processor.
            for _ in range(number):
                call()
            start = time.perf_counter()
            for _ in range(number):
                call()
            times[name].append((time.perf_counter() - start) / number)
    return times


def _calls_in_a_turn(call: Callable[[], Any]) -> int:
    call()
    start = time.perf_counter()
    call()
    taken = time.perf_counter() - start
    return int(np.clip(_TURN_SECONDS / max(taken, 1e-6), 1, 1000))


def fastest(found: Sequence[Measured]) -> Measured:
    """Return the fastest, or the first unless another is clearly faster."""
    best = max(found, key=lambda item: item.gain(found[0]))
    return best if best.gain(found[0]) >= GAIN else found[0]
