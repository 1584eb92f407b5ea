"""Networks of `keras.applications` go sparse, train, save, load and go back.

    python -m benchmarks.applications_round_trip [name ...]

writes `benchmarks/applications_round_trip.csv`, from the smallest legal images.
The tests repeat some of its lines, and hold all to the same limits.
"""

import csv
import pathlib
import sys
import tempfile

import keras
import numpy as np

import cb
from cb.layers.masked import Masked
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers

FILE = pathlib.Path(__file__).with_suffix(".csv")
# The smallest legal image of each.
SIZES = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetV2B0": 32,
    "InceptionV3": 75,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "NASNetMobile": 32,
    "ResNet50V2": 32,
    "VGG16": 32,
    "Xception": 71,
}


def measure(name):
    """Take a network there and back.

    Args:
        name: String, name in `keras.applications`.

    Returns:
        Dict of one line of the table. Differences are the largest ones of
        outputs over the largest output, as untrained networks have tiny ones:
        `dense_difference` from the dense network with the same weights zeroed,
        `unmasked_difference` from that with none zeroed, `loaded_difference`
        between the trained network and the stripped one that was saved and
        loaded. `inactive_moved` counts inactive weights that a step of training
        left other than zero.
    """
    size = SIZES[name]
    model = getattr(keras.applications, name)(
        weights=None,
        input_shape=(size, size, 3),
        classes=3,
        classifier_activation=None,
    )
    images = np.random.default_rng(0).normal(size=(2, size, size, 3))
    unmasked = np.asarray(model(images))
    sparse = cb.sparsify(model, sparsity=0.5, seed=1)
    kernels = masked_kernels(sparse)
    row = {
        "network": name,
        "image": size,
        "kernels": len(kernels),
        "weights": sum(np.size(kernel.mask) for kernel in kernels),
        "active": sum(np.count_nonzero(kernel.mask) for kernel in kernels),
    }
    _zero_inactive(ordered_layers(model), kernels)
    outputs = np.asarray(sparse(images))
    row["dense_difference"] = _difference(outputs, model(images))
    row["unmasked_difference"] = _difference(outputs, unmasked)
    row["inactive_moved"] = _train(sparse, kernels, images)
    outputs = np.asarray(sparse(images))
    with tempfile.TemporaryDirectory() as folder:
        sparse.save(f"{folder}/model.keras")
        loaded = keras.models.load_model(f"{folder}/model.keras")
    plain = cb.strip(loaded)
    row["loaded_difference"] = _difference(outputs, plain(images))
    row["masked_left"] = sum(
        isinstance(layer, Masked) for layer in ordered_layers(plain)
    )
    return row


def _zero_inactive(dense, kernels):
    """Set inactive weights to zero, in a dense network and its sparse form."""
    for kernel in kernels:
        position, weight = kernel.key.split("/")
        variable = getattr(dense[int(position)], weight)
        variable.assign(variable * kernel.mask)
        kernel.weight.assign(kernel.weight * kernel.mask)


def _train(sparse, kernels, images):
    """Do a step; return how many inactive weights are no longer zero."""
    # Eagerly: one step does not repay the tracing of a graph. Clipped:
    # images of this size leave some of the networks huge gradients.
    sparse.compile(
        keras.optimizers.SGD(1e-6, clipvalue=1.0), "mse", run_eagerly=True
    )
    sparse.fit(images, np.ones((2, 3)), batch_size=2, verbose=0)
    return sum(
        np.count_nonzero(
            np.asarray(kernel.weight)[np.asarray(kernel.mask) == 0]
        )
        for kernel in kernels
    )


def _difference(outputs, others):
    return np.abs(outputs - np.asarray(others)).max() / np.abs(outputs).max()


def main(names):
    """Write the table."""
    with open(FILE, "w", encoding="utf-8", newline="") as file:
        writer = None
        for name in names:
            row = measure(name)
            if writer is None:
                writer = csv.DictWriter(file, row, lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            print(row, flush=True)
            keras.utils.clear_session()


if __name__ == "__main__":
    main(sys.argv[1:] or SIZES)
