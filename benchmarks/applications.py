"""Sparse forms of `keras.applications` at native size: equality and time.

python -m benchmarks.applications [name ...]
"""

import sys
import time

import keras
import numpy as np

import cb
from cb.layers.masked import Masked
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers

NAMES = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetV2B0",
    "InceptionV3",
    "MobileNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50V2",
    "VGG16",
    "Xception",
)


def row(name):
    """Return what one network shows.

    Args:
        name: String, name in `keras.applications`.

    Returns:
        Tuple of strings, the cells of a line of the table.
    """
    keras.utils.clear_session()
    model = getattr(keras.applications, name)(
        weights=None, classifier_activation=None
    )
    start = time.perf_counter()
    sparse = cb.sparsify(model, sparsity=0.9)
    seconds = time.perf_counter() - start
    kernels = masked_kernels(sparse)
    dense = ordered_layers(model)
    for kernel in kernels:
        position, weight = kernel.key.split("/")
        variable = getattr(dense[int(position)], weight)
        variable.assign(variable * kernel.mask)
    random = np.random.default_rng(0)
    size = model.input_shape[1] or 224
    images = random.normal(size=(1, size, size, 3))
    outputs = np.asarray(sparse(images))
    scale = np.abs(outputs).max()
    difference = np.abs(outputs - np.asarray(model(images))).max() / scale
    plain = cb.strip(sparse)
    stripped = np.abs(outputs - np.asarray(plain(images))).max() / scale
    left = sum(isinstance(layer, Masked) for layer in ordered_layers(plain))
    active = sum(np.count_nonzero(kernel.mask) for kernel in kernels)
    total = sum(np.size(kernel.mask) for kernel in kernels)
    return (
        name,
        f"{size}x{size}",
        str(len(kernels)),
        f"{active:,}",
        f"{total:,}",
        f"{active - round(0.1 * total):+d}",
        f"{scale:.1e}",
        f"{difference:.1e}",
        f"{stripped:.1e}",
        str(left),
        f"{seconds:.1f}",
    )


def main(names):
    """Print the table."""
    header = (
        "network",
        "image",
        "kernels",
        "active",
        "weights",
        "off",
        "largest output",
        "dense diff",
        "strip diff",
        "masked left",
        "seconds",
    )
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for name in names:
        print("| " + " | ".join(row(name)) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or NAMES)
