"""A training step on CSR kernels against the masked step, in `fit`.

Perceptrons with three hidden layers of one width, SGD with momentum. Both
train in turns on the same batch from the same weights, and must have the
same loss in the end. The time of a step is that of a turn, callback and
reallocation events included, over its steps.

    python -m benchmarks.sparse_training --widths=1000,2000
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from benchmarks.turns import CLOCKS  # noqa: E402
from benchmarks.turns import take_turns  # noqa: E402
from benchmarks.turns import turn  # noqa: E402
from cb.distribute.variables import read  # noqa: E402
from cb.layers.masked import masked_kernels  # noqa: E402

WIDTHS = flags.DEFINE_list("widths", ["1000", "2000", "4000"], "Of layers.")
FEATURES = flags.DEFINE_list("features", ["28", "8"], "HIGGS, Electricity.")
SPARSITIES = flags.DEFINE_list(
    "sparsities", ["0.98", "0.99"], "Of all kernels but the last."
)
MAX_DENSITY = flags.DEFINE_float("max_density", 0.05, "As in `cb.to_csr`.")
MIN_SIZE = flags.DEFINE_integer("min_size", 250_000, "As in `cb.to_csr`.")
BATCH = flags.DEFINE_integer("batch", 128, "Examples in a batch.")
ALGORITHM = flags.DEFINE_string("algorithm", "static", "Reallocation.")
STEPS = flags.DEFINE_integer("steps", 20, "Steps in a turn.")
CLOCK = flags.DEFINE_enum(
    "clock",
    "wall",
    sorted(CLOCKS),
    "What is measured: time, or processor time, on which it depends less what "
    "else the machine does.",
)
TURNS = flags.DEFINE_integer("turns", 5, "Turns of each kind.")
# How far the losses may be apart in the end.
TOLERANCE = 1e-3


def build(features, width, sparsity):
    """Return the perceptron with masks."""
    model = keras.Sequential([keras.Input((features,))])
    for _ in range(3):
        model.add(keras.layers.Dense(width, "relu"))
    model.add(keras.layers.Dense(2))
    return cb.sparsify(model, sparsity, "uniform", last_dense=True)


def contestant(model, dataset):
    """Return a function that trains for one turn."""
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    # Events continue in all turns, as in the middle of a long training.
    mover = cb.callbacks.Reallocation(
        ALGORITHM.value, dataset=dataset, total_steps=10**6
    )
    return lambda: turn(
        keras,
        model,
        dataset,
        [mover],
        STEPS.value,
        CLOCK.value,
        shuffle=False,
    )


def compare(features, width, sparsity):
    """Print a row of the table."""
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH.value, features)).astype("float32")
    y = random.integers(0, 2, BATCH.value)
    dataset = tf.data.Dataset.from_tensors((x, y)).repeat()
    masked = build(features, width, sparsity)
    models = {
        "masked": masked,
        "csr": cb.to_csr(masked, MAX_DENSITY.value, MIN_SIZE.value),
    }
    seconds = take_turns(
        {name: contestant(models[name], dataset) for name in models},
        TURNS.value,
    )
    losses = [
        model.evaluate(x, y, batch_size=BATCH.value, verbose=0)
        for model in models.values()
    ]
    if abs(losses[0] - losses[1]) > TOLERANCE:
        raise SystemExit(f"The losses differ: {losses}")
    active = sum(
        np.count_nonzero(read(kernel.mask)) for kernel in masked_kernels(masked)
    )
    ratios = [
        one / two
        for one, two in zip(seconds["masked"], seconds["csr"], strict=True)
    ]
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    times = [1e3 * statistics.median(seconds[name]) for name in models]
    print(
        f"| {features} | {sparsity} | {width} | {active:,} "
        f"| {times[0]:.2f} | {times[1]:.2f} "
        f"| {middle:.1f} ({low:.1f} to {high:.1f}) |",
        flush=True,
    )


def main(arguments):
    """Compare for each shape."""
    del arguments
    print(
        "| features | sparsity | width | active | masked, ms | CSR, ms "
        "| masked / CSR |"
    )
    print("|---" * 7 + "|")
    for features in map(int, FEATURES.value):
        for sparsity in map(float, SPARSITIES.value):
            for width in map(int, WIDTHS.value):
                compare(features, width, sparsity)


if __name__ == "__main__":
    app.run(main)
