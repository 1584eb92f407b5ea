"""Time of a sparse training step as a ratio to the dense one.

Sparse and dense `fit` take turns in one process; the time of a step is that
of a whole epoch of steps, callback and reallocation events included. The dense
model trains as it is and with the fused update that sparse training has. The
same is done for the TensorFlow Model Optimization toolkit on the old Keras.
What is measured goes into `masked_step.csv` and onto `masked_step.md`.

    python -m benchmarks.masked_step --network=mlp_784_300_100
"""

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib  # noqa: E402
import statistics  # noqa: E402
import warnings  # noqa: E402

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
from cb.callbacks.reallocation.training_step import Held  # noqa: E402
from cb.callbacks.reallocation.training_step import hold  # noqa: E402
from cb.errors import guarded  # noqa: E402
from cb.layers.attributes import overridden  # noqa: E402
from cb.optimization.fused_updates import update_steps  # noqa: E402

FILE = pathlib.Path(__file__).with_suffix(".csv")
NETWORK = flags.DEFINE_enum(
    "network", "mlp_784_300_100", sorted(NETWORKS), "Network."
)
STEPS = flags.DEFINE_integer("steps", 500, "Steps in a turn.")
TURNS = flags.DEFINE_integer("turns", 15, "Turns of each kind.", lower_bound=1)
ALGORITHM = flags.DEFINE_string("algorithm", "rigl", "Reallocation.")
OPTIMIZER = flags.DEFINE_enum(
    "optimizer", "sgd", ["sgd", "adam", "adamw"], "Optimizer."
)
JIT = flags.DEFINE_bool("jit_compile", False, "Compile with XLA.")
TOOLKIT = flags.DEFINE_bool("toolkit", True, "Measure the toolkit too.")


def batches(shape, size):
    """Return one random batch, repeated for ever."""
    random = np.random.default_rng(0)
    x = random.random((size, *shape), np.float32)
    y = random.integers(0, 10, size)
    return tf.data.Dataset.from_tensors((x, y)).repeat()


def compiled(library, model):
    """Compile a model of a Keras library; return a function for one turn."""
    optimizer = {
        "sgd": lambda: library.optimizers.SGD(0.01, momentum=0.9),
        "adam": lambda: library.optimizers.Adam(1e-4),
        "adamw": lambda: library.optimizers.AdamW(1e-4),
    }
    model.compile(
        optimizer=optimizer[OPTIMIZER.value](),
        loss=library.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=JIT.value,
    )
    return model


class FusedUpdate(keras.callbacks.Callback):
    """Lets a dense model train with the update that sparse ones have."""

    def on_train_begin(self, logs=None):
        steps = [*update_steps(self.model.optimizer)]
        self.held = Held(
            self, lambda settled: [overridden("update_step", steps)]
        )

    def on_train_batch_begin(self, batch, logs=None):
        hold(self.model, [self.held])


def training(library, model, dataset, callbacks):
    """Return a function that trains for one turn."""
    options = {"shuffle": False} if library is keras else {}
    return lambda: turn(
        library, model, dataset, callbacks, STEPS.value, **options
    )


def contestants():
    """Return name to a function that trains for one turn."""
    build, size = NETWORKS[NETWORK.value]
    dense, fused = (compiled(keras, build(keras)) for _ in range(2))
    dataset = batches(dense.input_shape[1:], size)
    sparse = compiled(keras, cb.sparsify(build(keras), 0.9))
    # Events continue in all turns, as in the middle of a long training.
    mover = cb.callbacks.Reallocation(
        ALGORITHM.value, dataset=dataset, total_steps=10**6
    )
    runs = {
        "dense": training(keras, dense, dataset, []),
        "dense_fused": training(keras, fused, dataset, [FusedUpdate()]),
        "sparse": training(keras, sparse, dataset, [mover]),
    }
    if TOOLKIT.value:
        runs |= toolkit_contestants(build, dataset)
    return runs


def toolkit_contestants(build, dataset):
    """Return the dense and the pruned model of the old Keras."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    old = compiled(tf_keras, build(tf_keras))
    schedule = tfmot.sparsity.keras.ConstantSparsity(0.9, 0, frequency=100)
    pruned = tfmot.sparsity.keras.prune_low_magnitude(build(tf_keras), schedule)
    pruned = compiled(tf_keras, pruned)
    update = tfmot.sparsity.keras.UpdatePruningStep()
    return {
        "toolkit_dense": training(tf_keras, old, dataset, []),
        "toolkit_sparse": training(tf_keras, pruned, dataset, [update]),
    }


def main(arguments):
    """Let all take turns and print medians and ratios."""
    del arguments
    warnings.simplefilter("ignore")
    seconds = take_turns(contestants(), TURNS.value)
    case = f"{NETWORK.value}, {OPTIMIZER.value}"
    if JIT.value:
        case += ", compiled"
    if ALGORITHM.value != "rigl":
        case += f", {ALGORITHM.value}"
    dense = seconds["dense"]
    row = {
        "case": case,
        "dense_ms": f"{1e3 * statistics.median(dense):.2f}",
        "fused": ratios(seconds["dense_fused"], dense),
        "sparse": ratios(seconds["sparse"], dense),
        "sparse_of_fused": ratios(seconds["sparse"], seconds["dense_fused"]),
        "toolkit": "",
    }
    if TOOLKIT.value:
        row["toolkit"] = ratios(
            seconds["toolkit_sparse"], seconds["toolkit_dense"]
        )
    origin = dict(
        zip(("date", "processor", "commit"), tables.origin(), strict=True)
    )
    print(row)
    rows = tables.read(FILE) | {case: row | origin}
    tables.write(FILE, [*row, *origin], rows)
    lines = [
        "| case | dense, ms | dense, fused update | sparse | sparse of dense, "
        "fused | toolkit of its dense | date | processor | commit |",
        "|---" * 9 + "|",
        *("| " + " | ".join(one.values()) + " |" for one in rows.values()),
    ]
    tables.renew(FILE.with_suffix(".md"), "\n".join(lines))


def ratios(values, base):
    """Return the ratio of medians and that of minima as text."""
    medians = statistics.median(values) / statistics.median(base)
    return f"{medians:.3f} ({min(values) / min(base):.3f})"


if __name__ == "__main__":
    guarded(lambda: app.run(main))
