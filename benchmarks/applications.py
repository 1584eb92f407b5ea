"""Copies and exports of `keras.applications`: equal outputs.

    python -m benchmarks.applications [--without_exports] [name ...]

writes `benchmarks/applications.csv` and the table of `applications.md`. With
names it renews their lines.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np

import cb
from benchmarks import tables
from cb.layers.computed_kernels import has_kernels
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers

FILE = pathlib.Path(__file__).with_suffix(".csv")
PAGE = FILE.with_suffix(".md")
# One or two of every family, with the smallest legal image.
SIZES = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "EfficientNetV2S": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Large": 32,
    "MobileNetV3Small": 32,
    "NASNetMobile": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "VGG16": 32,
    "VGG19": 32,
    "Xception": 71,
}
FORMS = ("dense", "compact", "sparse")
# Bit for bit; and by rounding, as other operations compute the same.
EXACT = ("full", "sparse_copy", "stripped", "saved_file", "stripped_file")
ROUNDED = tuple(f"{form}_export" for form in FORMS)
COLUMNS = (
    *("network", "image", "kernels", "weights", "active", "statistics"),
    *("largest_output", *EXACT, *ROUNDED),
)
SPARSITY = 0.9
_IMAGES = 8

# Reads what was written in a process that has imported nothing else.
_READ = """
import sys
import keras
import numpy as np
import tensorflow as tf
folder = sys.argv[1]
images = np.load(f"{folder}/images.npy")
found = {}
plain = keras.models.load_model(f"{folder}/stripped_file.keras")
found["stripped_file"] = plain(images, training=False)
for form in sys.argv[2:]:
    saved = tf.saved_model.load(f"{folder}/{form}")
    outputs = saved.signatures["serving_default"](tf.constant(images))
    (found[f"{form}_export"],) = outputs.values()
assert "cb" not in sys.modules
import cb
sparse = keras.models.load_model(f"{folder}/file.keras")
found["saved_file"] = sparse(images, training=False)
np.savez(f"{folder}/found.npz", **found)
"""


def measure(name, forms=FORMS):
    """Copy and export a network.

    Args:
        name: String, name in `keras.applications`.
        forms: Strings, forms of exports.

    Returns:
        Dict of one line of the table. From `full` on they are the largest
        differences of outputs from those of the dense network with the same
        zeros, over the largest output.
    """
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    size = SIZES[name]
    dense = getattr(keras.applications, name)(
        weights=None,
        input_shape=(size, size, 3),
        classifier_activation=None,
    )
    # A dense network with zeros.
    dense = cb.strip(cb.sparsify(dense, SPARSITY))
    images = random.uniform(0, 255, (_IMAGES, size, size, 3)).astype("float32")
    statistics = randomize(dense, images, random)
    outputs = np.asarray(dense(images, training=False))
    full = cb.sparsify(dense, 0.0)(images, training=False)
    sparse = cb.sparsify(dense, masks="nonzero")
    kernels = masked_kernels(sparse)
    plain = cb.strip(sparse)
    found = {
        "full": full,
        "sparse_copy": sparse(images, training=False),
        "stripped": plain(images, training=False),
        **_read_elsewhere(sparse, plain, images, forms),
    }
    scale = np.abs(outputs).max()
    return {
        "network": name,
        "image": size,
        "kernels": len(kernels),
        "weights": sum(np.size(kernel.mask) for kernel in kernels),
        "active": sum(np.count_nonzero(kernel.mask) for kernel in kernels),
        "statistics": statistics,
        "largest_output": f"{scale:.3g}",
        **{
            key: f"{np.abs(outputs - np.asarray(found[key])).max() / scale:.1e}"
            for key in (*EXACT, *ROUNDED)
            if key in found
        },
    }


def randomize(model, images, random):
    """Give every layer state other than what it is made with.

    Activations stay of order one: moving statistics are those of the images
    times factors, and the last layer is scaled.

    Returns:
        Integer, the number of variables that are not kernels.
    """
    layers = ordered_layers(model)
    others = [v for layer in layers for v in layer._trainable_variables]
    others = [variable for variable in others if len(variable.shape) == 1]
    for variable in others:
        drawn = random.normal(0.0, 0.1, variable.shape)
        scales = variable.path.endswith("gamma")
        variable.assign(1.0 + 3 * drawn if scales else drawn)
    for layer in layers:
        if isinstance(layer, keras.layers.Normalization):
            others += _adapt(layer, random)
    others += _normalize(model, layers, images, random)
    last = next(layer for layer in reversed(layers) if has_kernels(layer))
    last.kernel.assign(last.kernel / np.std(model(images, training=False)))
    return len(others)


def _adapt(layer, random):
    """Give a `Normalization` statistics, unless it was made with some."""
    if layer.input_mean is not None:
        return []
    shape = layer.adapt_mean.shape
    layer.adapt_mean.assign(random.normal(0.5, 0.1, shape))
    layer.adapt_variance.assign(random.uniform(0.05, 0.2, shape))
    layer.finalize_state()
    return [layer.adapt_mean, layer.adapt_variance]


def _normalize(model, layers, images, random):
    """Give batch normalizations moving statistics."""
    kind = keras.layers.BatchNormalization
    norms = [layer for layer in layers if isinstance(layer, kind)]
    before = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(norms, before, strict=True):
        layer.momentum = momentum
        mean, variance = layer.moving_mean, layer.moving_variance
        moved = random.normal(0.0, 0.1, mean.shape) * np.sqrt(variance)
        mean.assign(mean + moved)
        variance.assign(variance * random.uniform(0.5, 2.0, variance.shape))
    return [v for layer in norms for v in layer.non_trainable_variables]


def _read_elsewhere(sparse, plain, images, forms):
    """Return the outputs of files and exports, read in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/images.npy", images)
        sparse.save(f"{folder}/file.keras")
        plain.save(f"{folder}/stripped_file.keras")
        for form in forms:
            cb.export.save(sparse, f"{folder}/{form}", form, [1])
        command = [sys.executable, "-c", _READ, folder, *forms]
        subprocess.run(command, check=True)
        return {**np.load(f"{folder}/found.npz")}


def table(rows):
    """Return the table for the page."""
    lines = ["| " + " | ".join(COLUMNS).replace("_", " ") + " |"]
    lines += ["|" + "---|" * len(COLUMNS)]
    for row in rows.values():
        cells = [str(row.get(column, "")) for column in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(names):
    """Measure networks, and renew their lines."""
    without = "--without_exports" in names
    names = [name for name in names if not name.startswith("--")]
    rows = tables.read(FILE)
    for name in names or SIZES:
        start = time.perf_counter()
        rows[name] = measure(name, () if without else FORMS)
        rows = {key: rows[key] for key in SIZES if key in rows}
        tables.write(FILE, COLUMNS, rows)
        tables.renew(PAGE, table(rows))
        print(f"{time.perf_counter() - start:.0f} s", rows[name], flush=True)
        keras.utils.clear_session()


if __name__ == "__main__":
    main(sys.argv[1:])
