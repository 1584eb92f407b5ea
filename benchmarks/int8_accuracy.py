"""Accuracy of masks of four input channels, and of int8, on digits.

A small convolutional network on scikit-learn's digits (8x8), with RigL; all
kernels but the first and the last are sparse. Of every network the accuracy as
it was trained, and of the same network in int8.

    python -m benchmarks.int8_accuracy
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics  # noqa: E402

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402
from sklearn import datasets  # noqa: E402
from sklearn import model_selection  # noqa: E402

import cb  # noqa: E402

SEEDS = flags.DEFINE_integer("seeds", 3, "Trainings of every row.")
EPOCHS = flags.DEFINE_integer("epochs", 30, "Of every training.")
SPARSITIES = flags.DEFINE_list("sparsities", ["0.8", "0.9", "0.95"], "Rows.")
MASKS = {
    "single weights": "weight",
    "blocks of 4 inputs": "block(rows=4, columns=1)",
}
_BATCH = 64


def network():
    """Build four convolutions with normalization, and a dense layer."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for number, filters in enumerate((32, 64, 64, 64)):
        strides = 2 if number == 2 else 1
        model.add(
            layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)
        )
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    return model


def digits():
    """Return images and labels for training, and for the test."""
    x, y = datasets.load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8, 1).astype("float32") / 16
    parts = model_selection.train_test_split(
        x, y, test_size=0.4, random_state=0, stratify=y
    )
    x, test_x, y, test_y = parts
    return x, y, test_x, test_y


def trained(granularity, sparsity, seed):
    """Train once; return the accuracy in percent, and that in int8."""
    x, y, test_x, test_y = digits()
    keras.utils.set_random_seed(seed)
    model = network()
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
    print("| sparsity | masks | float | int8 |\n|---|---|---|---|")
    rows = [("0", "dense", None)]
    rows += [
        (sparsity, name, granularity)
        for sparsity in SPARSITIES.value
        for name, granularity in MASKS.items()
    ]
    for sparsity, name, granularity in rows:
        found = [
            trained(granularity, float(sparsity), seed)
            for seed in range(SEEDS.value)
        ]
        cells = [
            f"{statistics.mean(one):.2f} +- {statistics.stdev(one):.2f}"
            for one in zip(*found, strict=True)
        ]
        print(f"| {sparsity} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    app.run(main)
