"""Accuracy of masks of four input channels, and of int8.

A small convolutional network with RigL; all kernels but the first and the last
are sparse. Of every network the accuracy as it was trained, and of the same
network in int8.

    python -m benchmarks.int8_accuracy --dataset=cifar10 --data_dir=DIR
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics  # noqa: E402
import warnings  # noqa: E402

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from cb import datasets  # noqa: E402
from cb.errors import guarded  # noqa: E402

DATASET = flags.DEFINE_string("dataset", "digits", "Images of ten classes.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data.")
SEEDS = flags.DEFINE_integer("seeds", 3, "Trainings of every row.")
EPOCHS = flags.DEFINE_integer("epochs", 30, "Of every training.")
SPARSITIES = flags.DEFINE_list("sparsities", ["0.8", "0.9", "0.95"], "Rows.")
MASKS = {
    "single weights": "weight",
    "blocks of 4 inputs": "block(rows=4, columns=1)",
}
_BATCH = 64


def network(shape):
    """Build four convolutions with normalization, and a dense layer."""
    layers = keras.layers
    model = keras.Sequential([keras.Input(shape)])
    for number, filters in enumerate((32, 64, 64, 64)):
        # The sides of images of 8x8 are divided once, of larger ones twice.
        strides = 2 if number == 2 or number == 1 and shape[0] > 8 else 1
        model.add(
            layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)
        )
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    return model


def floats(examples):
    """Return images from 0 to 1 and labels."""
    largest = 255 if examples.features.dtype == "uint8" else 1
    return examples.features.astype("float32") / largest, examples.labels


def trained(source, granularity, sparsity, seed):
    """Train once; return the accuracy in percent, and that in int8."""
    (x, y), (test_x, test_y) = floats(source.train), floats(source.test)
    keras.utils.set_random_seed(seed)
    model = network(x.shape[1:])
    data = tf.data.Dataset.from_tensor_slices((x, y)).cache()
    data = data.shuffle(len(x), seed=seed).batch(_BATCH, drop_remainder=True)
    callbacks = []
    if sparsity:
        model = cb.sparsify(
            model,
            sparsity,
            "uniform",
            granularity=granularity,
            seed=seed,
            first_dense=True,
            last_dense=True,
        )
        callbacks = [cb.callbacks.Reallocation("rigl", data, seed)]
    steps = EPOCHS.value * (len(x) // _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    options = {"verbose": 0, "shuffle": False, "callbacks": callbacks}
    model.fit(data, epochs=EPOCHS.value, **options)
    quantized = cb.export.quantize(model, x[:256])
    return tuple(
        100 * float((scores.argmax(-1) == test_y).mean())
        for scores in (model.predict(test_x, verbose=0), quantized(test_x))
    )


def main(_):
    """Print the table."""
    # Where the processor lacks what bytes need, these would be floats again.
    warnings.filterwarnings("error", "A quantized network runs as floats")
    source = datasets.load(DATASET.value, DATA_DIR.value)
    print("| sparsity | masks | float | int8 |\n|---|---|---|---|")
    rows = [("0", "dense", None)]
    rows += [
        (sparsity, name, granularity)
        for sparsity in SPARSITIES.value
        for name, granularity in MASKS.items()
    ]
    for sparsity, name, granularity in rows:
        found = [
            trained(source, granularity, float(sparsity), seed)
            for seed in range(SEEDS.value)
        ]
        cells = [
            f"{statistics.mean(one):.2f} +- {statistics.stdev(one):.2f}"
            for one in zip(*found, strict=True)
        ]
        print(f"| {sparsity} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    guarded(lambda: app.run(main))
