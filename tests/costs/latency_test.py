"""Times of calls, as far as a test can tell."""

import keras

from cb.costs.latency import latency
from cb.costs.latency import model_latency


def test_calls_are_warm_and_counted(monkeypatch):
    durations = [5.0, *[0.25] * 6, 0.5, 0.5, 0.125]
    clock, made = [0.0], []

    def call():
        clock[0] += durations[min(len(made), len(durations) - 1)]
        made.append(clock[0])

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    found = latency(call, seconds=0.1)
    # The first call is no part of what is timed.
    assert len(made) == 11
    assert found.calls == 10
    assert found.low == 0.125 + 0.75 * 0.125
    assert found.median == 0.25
    assert found.high == 0.3125
    assert found.nanoseconds == 250_000_000


def test_models_are_timed_at_a_batch_size():
    seen = []

    class Watching(keras.layers.Layer):
        def call(self, x):
            seen.append(tuple(x.shape))
            return x

    model = keras.Sequential([keras.Input((3,)), Watching()])
    found = model_latency(model, batch_size=5, seconds=0.01)
    assert seen[-1] == (5, 3)
    assert found.low <= found.median <= found.high
    assert found.threads >= 1
    assert "threads" in str(found)
