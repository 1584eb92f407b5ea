"""Cost of every algorithm: per step, per event, and by size of the model.

What is measured goes into `reallocation_cost.csv`, beside what was measured
before, and onto `reallocation_cost.md`.

python -m benchmarks.reallocation_cost
python -m benchmarks.reallocation_cost --networks=mlp_784_300_100 \
    --algorithms=set,rigl
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataclasses  # noqa: E402
import itertools  # noqa: E402
import pathlib  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from benchmarks import tables  # noqa: E402
from benchmarks.masked_step import batches  # noqa: E402
from benchmarks.networks import NETWORKS  # noqa: E402
from cb.errors import guarded  # noqa: E402
from cb.schedules import TrainingLength  # noqa: E402
from cb.sparsity import reallocation  # noqa: E402
from cb.sparsity.reallocation.base import Event  # noqa: E402
from cb.sparsity.reallocation.base import LayerState  # noqa: E402

NETWORK_NAMES = flags.DEFINE_list(
    "networks", ["mlp_784_300_100", "wide_resnet_28_2"], "Networks."
)
ALGORITHMS = flags.DEFINE_list("algorithms", None, "Specs; all by default.")
SECONDS = flags.DEFINE_float("seconds", 12.0, "Training of every algorithm.")
FILE = pathlib.Path(__file__).with_suffix(".csv")
COLUMNS = (
    "case",
    "network",
    "algorithm",
    "dense_ms",
    "step",
    "event_ms",
    "event",
    "mean",
    "date",
    "processor",
    "commit",
)
LARGEST = flags.DEFINE_integer("largest", 10**7, "Weights of the largest.")

EVERY, DEFAULT_EVERY = 3, 100
TURNS = 5
STEP = "rigl(gradients='step')"
TOTAL = 10**6


class Clock(keras.callbacks.Callback):
    """Times from step to step, with all that comes between two."""

    def on_train_begin(self, logs=None):
        self.starts, self.events = [], set()

    def on_train_batch_begin(self, batch, logs=None):
        self.starts.append(time.perf_counter())

    def on_event(self, step, changes):
        """Remember that an event came after the latest step."""
        del step, changes
        self.events.add(len(self.starts) - 1)

    def gaps(self):
        """Return the seconds of plain steps and of those with an event.

        The first two are left out: there `fit` is still filling its pipeline.
        """
        gaps = [b - a for a, b in itertools.pairwise(self.starts)]
        numbered = list(enumerate(gaps))[2:]
        return (
            [gap for number, gap in numbered if number not in self.events],
            [gap for number, gap in numbered if number in self.events],
        )


def compiled(model):
    """Compile a model as all of them are."""
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return model


def turn(model, dataset, steps, clock, callbacks=()):
    """Train for a number of steps; return what the clock saw."""
    model.fit(
        dataset,
        steps_per_epoch=steps,
        verbose=0,
        shuffle=False,
        # Last, so that what the others do before a step is in the gap.
        callbacks=[*callbacks, clock],
    )
    return clock.gaps()


def often(spec, steps):
    """Return the algorithm with ten events in so many steps, if it has any.

    At least three steps apart, but the step after an event costs more.
    """
    algorithm = reallocation.build(spec)
    fields = {field.name for field in dataclasses.fields(algorithm)}
    changes = {"every": max(steps // 10, EVERY), "end": 1.0}
    return dataclasses.replace(
        algorithm, **{k: v for k, v in changes.items() if k in fields}
    )


def costs(network):
    """Yield `(spec, step over dense, event in steps, seconds of an event)`.

    Dense and sparse training take turns, and every figure is the median of
    those of the turns.
    """
    build, size = NETWORKS[network]
    dense, clock = compiled(build(keras)), Clock()
    dataset = batches(dense.input_shape[1:], size)
    first, _ = turn(dense, dataset, 12, clock)
    steps = max(int(SECONDS.value / TURNS / statistics.median(first)), 9)
    yield "dense", 1.0, 0.0, statistics.median(first)
    for spec in ALGORITHMS.value or sorted([*reallocation.names(), STEP]):
        sparse = compiled(cb.sparsify(build(keras), 0.9))
        algorithm = often(spec, steps)
        mover = cb.callbacks.Reallocation(
            algorithm,
            dataset=dataset,
            total_steps=TOTAL,
            # Not where every step has an event, which costs less untold.
            on_event=None if algorithm.every_step else clock.on_event,
        )
        seen = []
        for _ in range(TURNS + 1):
            dense_gaps, _ = turn(dense, dataset, steps, clock)
            step = statistics.median(dense_gaps)
            plain, events = turn(sparse, dataset, steps, clock, [mover])
            # What acts after every step has no others.
            usual = statistics.median(plain or events)
            event = statistics.median(events) - usual if plain and events else 0
            seen.append((usual / step, event / step, event))
        # The first turn compiles.
        figures = zip(*seen[1:], strict=True)
        yield spec, *(statistics.median(values) for values in figures)


def measure(network):
    """Measure the algorithms on a network and write them down one by one."""
    for spec, step, event, taken in costs(network):
        if spec == "dense":
            seconds = taken
            continue
        row = (
            f"{spec} on {network}",
            network,
            spec,
            f"{1e3 * seconds:.2f}",
            f"{step:.3f}",
            f"{1e3 * taken:.1f}" if event else "",
            f"{event:.2f}" if event else "",
            f"{step + event / DEFAULT_EVERY:.3f}",
            *tables.origin(),
        )
        print(*row, flush=True)
        rows = tables.read(FILE) | {
            row[0]: dict(zip(COLUMNS, row, strict=True))
        }
        tables.write(FILE, COLUMNS, dict(sorted(rows.items())))
    tables.renew(FILE.with_suffix(".md"), table(tables.read(FILE)))


def table(rows):
    """Return the lines of the page."""
    lines = [
        "| network | algorithm | dense step, ms | step | event, ms | event, in "
        "steps | mean | date | processor | commit |",
        "|---" * 10 + "|",
    ]
    for row in sorted(rows.values(), key=lambda row: row["network"]):
        lines.append("| " + " | ".join([*row.values()][1:]) + " |")
    return "\n".join(lines)


def seconds_of_update(spec, weights):
    """Return the median seconds of a pure update of one square layer."""
    side = int(weights**0.5)
    random = np.random.default_rng(0)
    mask = random.random((side, side), np.float32) < 0.1
    layer = LayerState(
        random.standard_normal((side, side), np.float32) * mask,
        mask,
        random.standard_normal((side, side), np.float32),
    )
    algorithm = reallocation.build(spec)
    state = algorithm.init({"layer": layer})
    period = algorithm.period(TrainingLength(10_000, 100))
    taken = []
    for number in range(5):
        start = time.perf_counter()
        event = Event(100, number, period, TrainingLength(10_000, 100))
        algorithm.update({"layer": layer}, state, event=event, seed=number)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def print_growth():
    """Print how the pure update grows with the weights."""
    if not LARGEST.value:
        return
    print("\n## The pure update of one layer, ns a weight\n")
    sizes = [10**n for n in range(5, 9) if 10**n <= LARGEST.value]
    print("| weights | " + " | ".join(f"{size:.0e}" for size in sizes) + " |")
    print("|---|" + "---|" * len(sizes))
    for spec in ("set", "rigl", "deep_rewiring", "dynamic_sparse"):
        shown = [
            f"{1e9 * seconds_of_update(spec, size) / size:.1f}"
            for size in sizes
        ]
        print(f"| {spec} | " + " | ".join(shown) + " |", flush=True)


def main(arguments):
    """Measure what is asked for."""
    del arguments
    for network in NETWORK_NAMES.value:
        measure(network)
    print_growth()


if __name__ == "__main__":
    guarded(lambda: app.run(main))
