"""Time of a training step by how many of them an execution has.

What is compared takes turns in one process. It is measured on one processor as
on all: tables of experiments run as many trainings as there are processors.
What is measured goes into `executions.csv` and onto `executions.md`.

    python -m benchmarks.executions --network=mlp_784_300_100 --threads=1
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Before anything counts the processors.
for argument in sys.argv:
    if argument.startswith("--threads="):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[: int(argument.split("=")[1])])

import functools  # noqa: E402
import pathlib  # noqa: E402
import statistics  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from benchmarks import tables  # noqa: E402
from benchmarks.networks import NETWORKS  # noqa: E402
from benchmarks.turns import take_turns  # noqa: E402
from benchmarks.turns import turn  # noqa: E402
from cb.errors import guarded  # noqa: E402

FILE = pathlib.Path(__file__).with_suffix(".csv")
NETWORK = flags.DEFINE_enum(
    "network", "mlp_784_300_100", sorted(NETWORKS), "Network."
)
THREADS = flags.DEFINE_integer("threads", None, "Processors; all by default.")
STEPS = flags.DEFINE_integer("steps", 300, "Steps in a turn.")
TURNS = flags.DEFINE_integer("turns", 9, "Turns of each kind.")
EXECUTIONS = (1, 5, 20)


def contestant(steps_per_execution):
    """Return a function that trains for one turn, with an event every 100."""
    build, size = NETWORKS[NETWORK.value]
    model = cb.sparsify(build(keras), 0.9)
    random = np.random.default_rng(0)
    x = random.random((10 * size, *model.input_shape[1:]), np.float32)
    y = random.integers(0, 10, len(x))
    data = tf.data.Dataset.from_tensor_slices((x, y)).cache().repeat()
    data = data.batch(size, drop_remainder=True).prefetch(4)
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    mover = cb.callbacks.Reallocation(
        "rigl(every=100)", dataset=data, total_steps=10**6
    )
    return functools.partial(
        turn, keras, model, data, [mover], STEPS.value, shuffle=False
    )


def main(_):
    """Let all take turns, and keep medians and ratios."""
    runs = {number: contestant(number) for number in EXECUTIONS}
    seconds = take_turns(runs, TURNS.value)
    threads = len(os.sched_getaffinity(0))
    case = f"{NETWORK.value}, threads: {threads}"
    row = {"case": case}
    for number, taken in seconds.items():
        median, least = statistics.median(taken), min(taken)
        ratio = median / statistics.median(seconds[1])
        row[str(number)] = (
            f"{1e3 * median:.2f} ({1e3 * least:.2f}), {ratio:.2f}"
        )
    names = ("date", "processor", "commit")
    row |= dict(zip(names, tables.origin(), strict=True))
    print(row)
    rows = tables.read(FILE) | {case: row}
    tables.write(FILE, [*row], rows)
    lines = [
        f"| {' | '.join(row)} |",
        "|---" * len(row) + "|",
        *(f"| {' | '.join(one.values())} |" for one in rows.values()),
    ]
    tables.renew(FILE.with_suffix(".md"), "\n".join(lines))


if __name__ == "__main__":
    guarded(lambda: app.run(main))
