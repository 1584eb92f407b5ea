"""Uses the Python interface of the project on generated images.

python FILE TARGET: writes the result of each function into a folder.
"""

import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

import cb

CLASSES, EXAMPLES, BATCH = 4, 64, 16
SIZES = [1, BATCH]


def main(target):
    """Convert, train, measure, convert back and export a few models.

    Args:
        target: Path, a folder to make.
    """
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    images = random.normal(size=(EXAMPLES, 8, 8, 3)).astype("float32")
    labels = random.integers(CLASSES, size=EXAMPLES)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(BATCH)
    target.mkdir()

    model = cb.layers.replace_batch_normalization(network(), 4)
    model = cb.sparsify(model, sparsity={"conv*": 0.5, "*": 0.8})
    monitor = cb.callbacks.BundleMonitor(
        (images, labels), batch_size=BATCH, num_samples=32
    )
    fit(target / "fit", model, data, monitor)
    keep(target / "stripped", cb.strip(model), images)
    cb.export.save(model, str(target / "exported"), form="sparse")
    predict = cb.export.load(str(target / "exported"), batch_sizes=SIZES)
    # The kernels, and so the last bits, are chosen by measured time.
    right = np.allclose(predict(images), model(images), atol=1e-5)
    numbers = {
        "bundles": monitor.integral(),
        "costs": cb.costs.costs(model).as_dict(),
        "loaded is right": bool(right),
    }
    write(target / "numbers", numbers)

    wide = cb.sparsify(perceptron(), sparsity=0.9, distribution="erk")
    wide = cb.to_csr(wide, max_density=1.0, min_size=100)
    fit(target / "csr", wide, data)
    keep(target / "from_csr", cb.to_masked(wide), images)


def network():
    """Return a convolutional network with batch normalization."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(16, "relu", name="hidden"),
            keras.layers.Dense(CLASSES, name="logits"),
        ]
    )


def perceptron():
    """Return a network of dense layers."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(32, "relu", name="hidden"),
            keras.layers.Dense(CLASSES, name="logits"),
        ]
    )


def fit(file, model, data, *others):
    """Train for two epochs, with callbacks, and record their results."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    mover = cb.callbacks.Reallocation("rigl(every=2, end=1.0)", dataset=data)
    distance = cb.callbacks.WeightDistance(5)
    history = model.fit(
        data, epochs=2, verbose=0, callbacks=[mover, distance, *others]
    )
    images, _ = next(iter(data))
    keep(file, model, images)
    write(file, history.history)


def keep(file, model, images):
    """Write outputs and variables of a model."""
    arrays = {f"{n}": np.asarray(v) for n, v in enumerate(model.variables)}
    outputs = np.asarray(model(images))
    np.savez(file.with_suffix(".npz"), outputs=outputs, **arrays)


def write(file, found):
    """Write numbers."""
    text = json.dumps(found, indent=1, default=float)
    file.with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
