"""Every algorithm on one data set: accuracy, spread, time against dense.

python benchmarks/reallocation_table.py --dataset=digits --epochs=30
python benchmarks/reallocation_table.py --dataset=mnist --data_dir=DIR \
    --sparsities=0.90,0.95,0.98,0.99 --epochs=20
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataclasses  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from cb import datasets  # noqa: E402

DATASET = flags.DEFINE_string("dataset", "digits", "Data set.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data.")
SPARSITIES = flags.DEFINE_list("sparsities", ["0.9"], "Sparsities.")
EPOCHS = flags.DEFINE_integer("epochs", 30, "Epochs of every run.")
BATCH = flags.DEFINE_integer("batch", 100, "Batch size.")
SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of every algorithm.")
EVERY = flags.DEFINE_integer("every", 100, "Steps between events.")
ALGORITHMS = flags.DEFINE_list("algorithms", None, "Names; all by default.")

# MNIST test accuracy of TimDettmers/sparse_learning, in percent.
PUBLISHED = {
    ("dynamic_sparse", 0.90): 98.44,
    ("dynamic_sparse", 0.95): 98.32,
    ("dynamic_sparse", 0.98): 98.14,
    ("dynamic_sparse", 0.99): 97.54,
    ("snfs", 0.90): 98.67,
    ("snfs", 0.95): 98.53,
    ("snfs", 0.98): 98.20,
    ("snfs", 0.99): 97.53,
    ("set", 0.90): 98.39,
    ("set", 0.95): 98.14,
    ("set", 0.98): 97.74,
    ("set", 0.99): 95.80,
    ("deep_rewiring", 0.90): 98.19,
    ("deep_rewiring", 0.95): 98.06,
    ("deep_rewiring", 0.98): 98.21,
    ("deep_rewiring", 0.99): 94.0,
}


def batches(x, y, seed):
    """Return shuffled batches of one epoch, another order every epoch."""
    data = tf.data.Dataset.from_tensor_slices((x, y))
    data = data.shuffle(len(x), seed=seed).batch(BATCH.value, True)
    return data.prefetch(2)


def chosen(name):
    """Return the algorithm of a name, with events every `--every` steps."""
    kind = cb.reallocation.get(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    return kind(every=EVERY.value) if "every" in fields else kind()


def trained(algorithm, sparsity, source, seed):
    """Train once; return the test accuracy and the seconds of an epoch."""
    train, test = source
    keras.utils.set_random_seed(seed)
    model = cb.models.build("lenet_300_100", train[0].shape[1:], 10)
    callbacks = []
    if algorithm is not None:
        model = cb.sparsify(model, sparsity, seed=seed)
        probe = batches(*train, seed + 1000)
        callbacks = [cb.callbacks.Reallocation(algorithm, probe, seed=seed)]
    steps = len(train[0]) // BATCH.value
    rate = keras.optimizers.schedules.CosineDecay(0.1, steps * EPOCHS.value)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    ends = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    model.fit(
        batches(*train, seed),
        epochs=EPOCHS.value,
        callbacks=[*callbacks, clock],
        verbose=0,
        shuffle=False,
    )
    _, accuracy = model.evaluate(*test, batch_size=500, verbose=0)
    return 100 * accuracy, statistics.median(np.diff(ends))


def main(arguments):
    """Print one line an algorithm and sparsity."""
    del arguments
    loaded = datasets.load(DATASET.value, DATA_DIR.value)
    largest = loaded.train.features.max()
    source = [
        (part.features.astype(np.float32) / largest, part.labels)
        for part in (loaded.train, loaded.test)
    ]
    names = ALGORITHMS.value or cb.reallocation.names()
    print(f"{'algorithm':<20} sparsity  accuracy spread  time  published")
    for sparsity in map(float, SPARSITIES.value):
        dense = [trained(None, 0, source, seed) for seed in range(SEEDS.value)]
        report("dense", 0.0, dense, dense)
        for name in names:
            algorithm = chosen(name)
            runs = [
                trained(algorithm, sparsity, source, seed)
                for seed in range(SEEDS.value)
            ]
            report(name, sparsity, runs, dense)


def report(name, sparsity, runs, dense):
    """Print the line of one algorithm."""
    accuracies, seconds = zip(*runs, strict=True)
    baseline = statistics.median(second for _, second in dense)
    published = PUBLISHED.get((name, sparsity), "")
    print(
        f"{name:<20} {sparsity:8.2f}  {statistics.mean(accuracies):8.2f} "
        f"{statistics.pstdev(accuracies):6.2f} "
        f"{statistics.median(seconds) / baseline:5.2f}  {published}",
        flush=True,
    )


if __name__ == "__main__":
    app.run(main)
