"""The largest weight that inputs meet, of layers of every kind."""

import keras
import numpy as np
import pytest

import cb
from cb.layers.masked import masked_kernels
from cb.metrics.weight_magnitude import magnitude_of_layers
from cb.metrics.weight_magnitude import magnitude_of_model

LAYERS = {
    "separable": keras.layers.SeparableConv2D(3, 2, name="measured"),
    "lstm": keras.layers.LSTM(3, name="measured"),
    "gru": keras.layers.GRU(3, name="measured"),
    "dense": keras.layers.Dense(3, name="measured"),
}
SHAPES = {"separable": (5, 5, 2), "dense": (4,)}


def masked_model(name):
    """Return a model whose largest weights are inactive."""
    layer = LAYERS[name]
    inputs = keras.Input(SHAPES.get(name, (4, 2)))
    layer = type(layer).from_config(layer.get_config())
    model = cb.sparsify(keras.Model(inputs, layer(inputs)), 0.5)
    random = np.random.default_rng(0)
    for kernel in masked_kernels(model):
        weights = random.normal(size=kernel.weight.shape)
        weights[np.asarray(kernel.mask) == 0] *= 100
        kernel.weight.assign(weights)
    return model


def largest_active(model):
    return max(
        np.abs(np.asarray(kernel.weight) * np.asarray(kernel.mask)).max()
        for kernel in masked_kernels(model)
    )


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_inactive_weights_of_no_kernel_count(name):
    model = masked_model(name)
    layers = {
        id(kernel.layer): kernel.layer for kernel in masked_kernels(model)
    }
    expected = np.float32(largest_active(model))
    assert magnitude_of_layers(layers.values()) == expected
    assert magnitude_of_model(model) == max(1.0, expected)
