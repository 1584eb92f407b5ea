"""Sparse forms of the networks of `keras.applications`, as they come."""

import keras
import numpy as np
import pytest

import cb
from cb.layers.masked import Masked
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers

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


@pytest.mark.parametrize("name", sorted(SIZES))
def test_goes_sparse_trains_saves_and_goes_back(name, tmp_path):
    size = SIZES[name]
    model = getattr(keras.applications, name)(
        weights=None,
        input_shape=(size, size, 3),
        classes=3,
        classifier_activation=None,
    )
    sparse = cb.sparsify(model, sparsity=0.5, seed=1)
    kernels = masked_kernels(sparse)
    active = sum(np.count_nonzero(kernel.mask) for kernel in kernels)
    assert active == round(sum(np.size(k.mask) for k in kernels) / 2)

    images = np.random.default_rng(0).normal(size=(2, size, size, 3))
    dense = ordered_layers(model)
    unmasked = np.asarray(model(images))
    for kernel in kernels:
        position, weight = kernel.key.split("/")
        variable = getattr(dense[int(position)], weight)
        variable.assign(variable * kernel.mask)
        kernel.weight.assign(kernel.weight * kernel.mask)
    outputs = np.asarray(sparse(images))
    # Untrained networks have tiny outputs: differences are relative to them.
    scale = np.abs(outputs).max()
    difference = np.abs(outputs - np.asarray(model(images))).max()
    assert difference <= 1e-6 * scale
    assert np.abs(outputs - unmasked).max() > 1e-2 * scale > 0

    # Eagerly: one step does not repay the tracing of a graph. Clipped:
    # images of this size leave some of the networks huge gradients.
    sparse.compile(
        keras.optimizers.SGD(1e-6, clipvalue=1.0), "mse", run_eagerly=True
    )
    sparse.fit(images, np.ones((2, 3)), batch_size=2, verbose=0)
    for kernel in kernels:
        inactive = np.asarray(kernel.mask) == 0
        assert not np.asarray(kernel.weight)[inactive].any()

    outputs = np.asarray(sparse(images))
    scale = np.abs(outputs).max()
    assert np.isfinite(scale)
    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    plain = cb.strip(loaded)
    difference = np.abs(outputs - np.asarray(plain(images))).max()
    assert difference <= 1e-6 * scale
    assert not any(isinstance(layer, Masked) for layer in ordered_layers(plain))
