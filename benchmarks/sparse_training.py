"""A training step on CSR kernels against the masked step, in `fit`.

Perceptrons with three hidden layers of one width, or a model for images, SGD
with momentum. Both train in turns on the same batch from the same weights, and
must have the same loss in the end. The time of a step is that of a turn,
callback and reallocation events included, over its steps.

    python -m benchmarks.sparse_training --widths=1000,2000
    python -m benchmarks.sparse_training --batch=32 --sparsities=0.9,0.95,0.98 \
        --model="wide_resnet(depth=28, width=2)"
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib  # noqa: E402
import functools  # noqa: E402
import pathlib  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402

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
from cb.errors import guarded  # noqa: E402
from cb.layers.masked import masked_kernels  # noqa: E402

WIDTHS = flags.DEFINE_list("widths", ["1000", "2000", "4000"], "Of layers.")
FEATURES = flags.DEFINE_list("features", ["28", "8"], "HIGGS, Electricity.")
SPARSITIES = flags.DEFINE_list(
    "sparsities", ["0.98", "0.99"], "Of all kernels but the last."
)
MODEL = flags.DEFINE_string(
    "model", None, "A model for CIFAR-10 in place of perceptrons."
)
MAX_DENSITY = flags.DEFINE_float("max_density", None, "As in `cb.to_csr`.")
MIN_SIZE = flags.DEFINE_integer("min_size", None, "As in `cb.to_csr`.")
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
SPARSELAB = flags.DEFINE_string(
    "sparselab",
    None,
    "Python of an environment with `torch` and `sparselab`, which take turns.",
)
# How far the losses may be apart in the end.
TOLERANCE = 1e-3


def build(features, width, sparsity):
    """Return the perceptron with masks."""
    model = keras.Sequential([keras.Input((features,))])
    for _ in range(3):
        model.add(keras.layers.Dense(width, "relu"))
    model.add(keras.layers.Dense(2))
    return cb.sparsify(model, sparsity, "uniform", last_dense=True)


def build_network(sparsity):
    """Return the model for images with masks."""
    model = cb.models.build(MODEL.value, (32, 32, 3), 10)
    return cb.sparsify(model, sparsity)


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


@contextlib.contextmanager
def of_sparselab(*shape):
    """Yield functions that train for one turn on PyTorch, none if not asked.

    Args:
        *shape: Features, width and sparsity.
    """
    if not (SPARSELAB.value and shape):
        yield {}
        return
    script = pathlib.Path(__file__).with_name("sparselab_turns.py")
    arguments = [*shape, BATCH.value, STEPS.value]
    with subprocess.Popen(
        [SPARSELAB.value, script, *map(str, arguments)],
        # Else its threads would take part in the turns of others.
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def train(kind):
            print(kind, file=process.stdin, flush=True)
            return float(process.stdout.readline())

        yield {
            "SparseLab": functools.partial(train, "sparse"),
            "PyTorch, dense": functools.partial(train, "dense"),
        }
        process.stdin.close()


def compare(masked, shape, classes, named, others=()):
    """Print a row of the table.

    Args:
        masked: Model with masks.
        shape: Tuple, that of an example.
        classes: Integer.
        named: List of cells that say what is compared.
        others: Arguments of `of_sparselab`.
    """
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH.value, *shape)).astype("float32")
    y = random.integers(0, classes, BATCH.value)
    dataset = tf.data.Dataset.from_tensors((x, y)).repeat()
    models = {
        "masked": masked,
        "csr": cb.to_csr(masked, MAX_DENSITY.value, MIN_SIZE.value),
    }
    runs = {name: contestant(models[name], dataset) for name in models}
    with of_sparselab(*others) as foreign:
        seconds = take_turns(runs | foreign, TURNS.value)
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
    times = [1e3 * statistics.median(of) for of in seconds.values()]
    cells = [*named, f"{active:,}"]
    cells += [f"{time:.2f}" for time in times]
    cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main(arguments):
    """Compare for each shape."""
    del arguments
    head = ["sparsity", "active", "masked, ms", "CSR, ms"]
    if not MODEL.value:
        head = ["features", "sparsity", "width", *head[1:]]
    if SPARSELAB.value:
        head += ["SparseLab, ms", "PyTorch, dense, ms"]
    head.append("masked / CSR")
    print("| " + " | ".join(head) + " |", "|---" * len(head) + "|", sep="\n")
    for sparsity in map(float, SPARSITIES.value if MODEL.value else []):
        compare(build_network(sparsity), (32, 32, 3), 10, [sparsity])
    for features in map(int, [] if MODEL.value else FEATURES.value):
        for sparsity in map(float, SPARSITIES.value):
            for width in map(int, WIDTHS.value):
                named = features, sparsity, width
                masked = build(*named[::2], sparsity)
                given = features, width, sparsity
                compare(masked, (features,), 2, named, given)


if __name__ == "__main__":
    guarded(lambda: app.run(main))
