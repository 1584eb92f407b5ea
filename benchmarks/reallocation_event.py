"""Cost of a reallocation event: in training steps, and as models grow.

python benchmarks/reallocation_event.py
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics  # noqa: E402
import time  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402
from masked_step import batches  # noqa: E402
from networks import NETWORKS  # noqa: E402

import cb  # noqa: E402
from cb.sparsity import reallocation  # noqa: E402
from cb.sparsity.reallocation.base import Connections  # noqa: E402
from cb.sparsity.reallocation.base import Event  # noqa: E402
from cb.sparsity.schedules import Horizon  # noqa: E402

ALGORITHMS = flags.DEFINE_list("algorithms", ["set", "rigl"], "Algorithms.")
EVENTS = flags.DEFINE_integer("events", 20, "Events for every figure.")
LARGEST = flags.DEFINE_integer("largest", 10**8, "Weights of the largest.")


class Clock(keras.callbacks.Callback):
    """Times every step, and whatever happens between two steps."""

    def __init__(self):
        super().__init__()
        self.steps, self.between = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.last = None

    def on_train_batch_begin(self, batch, logs=None):
        now = time.perf_counter()
        if self.last is not None:
            self.between.append(now - self.last)
        self.last = now

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        self.steps.append(now - self.last)
        self.last = now


def event_in_steps(network, algorithm):
    """Return the medians of a step and of an event, in seconds."""
    build, size = NETWORKS[network]
    model = cb.sparsify(build(keras), 0.9)
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    dataset = batches(model.input_shape[1:], size)
    mover = cb.callbacks.Reallocation(
        f"{algorithm}(every=3, end=1.0)", dataset=dataset
    )
    clock = Clock()
    model.fit(
        dataset,
        steps_per_epoch=3 * EVENTS.value + 3,
        verbose=0,
        shuffle=False,
        callbacks=[mover, clock],
    )
    # Every third gap holds an event; the first compiles.
    events = clock.between[2::3][1:]
    return statistics.median(clock.steps[4:]), statistics.median(events)


def seconds_of_update(algorithm, weights):
    """Return the median seconds of a pure update of one square layer."""
    side = int(weights**0.5)
    random = np.random.default_rng(0)
    mask = random.random((side, side), np.float32) < 0.1
    layer = Connections(
        random.standard_normal((side, side), np.float32) * mask,
        mask,
        random.standard_normal((side, side), np.float32),
    )
    chosen = reallocation.build(algorithm)
    period = chosen.period(Horizon(10_000, 100))
    taken = []
    for number in range(5):
        start = time.perf_counter()
        chosen.update(
            {"layer": layer},
            chosen.init({"layer": layer}),
            event=Event(100, number, period),
            seed=number,
        )
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main(arguments):
    """Print both tables."""
    del arguments
    for network in NETWORKS:
        for algorithm in ALGORITHMS.value:
            step, event = event_in_steps(network, algorithm)
            print(
                f"{network:<18} {algorithm:<6} step {1e3 * step:8.2f} ms  "
                f"event {1e3 * event:8.2f} ms  = {event / step:.2f} steps",
                flush=True,
            )
    weights = 10**5
    while weights <= LARGEST.value:
        for algorithm in ALGORITHMS.value:
            seconds = seconds_of_update(algorithm, weights)
            print(
                f"{weights:>12,} weights {algorithm:<6} "
                f"{1e3 * seconds:9.2f} ms  "
                f"{1e9 * seconds / weights:.2f} ns a weight",
                flush=True,
            )
        weights *= 10


if __name__ == "__main__":
    app.run(main)
