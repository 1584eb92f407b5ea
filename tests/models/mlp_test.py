"""Multilayer perceptrons."""

import keras
import numpy as np
import pytest

from cb import models
from cb.errors import InputError


def test_lenet_300_100_counts():
    model = models.build("lenet_300_100", (28, 28, 1), 10)
    kernels = [layer.kernel for layer in model.layers if layer.weights]
    sizes = [tuple(kernel.shape) for kernel in kernels]
    assert sizes == [(784, 300), (300, 100), (100, 10)]
    assert model.count_params() == 266_610


def test_units_may_be_one_number():
    assert models.build("mlp(units=7)", (5,), 2).count_params() == 58


@pytest.mark.parametrize("units", ["(0,)", "(3.5,)", "'wide'"])
def test_units_must_be_positive_integers(units):
    with pytest.raises(InputError, match="`units`"):
        models.build(f"mlp(units={units})", (5,), 2)


def test_dropout_is_after_every_hidden_layer():
    model = models.build("mlp(units=(4, 4), dropout=0.5)", (5,), 2)
    assert [
        layer.name for layer in model.layers if "dropout" in layer.name
    ] == [
        "dropout_1",
        "dropout_2",
    ]


def test_biases_of_torch_are_uniform_up_to_one_over_the_root_of_the_inputs():
    model = models.build("lenet_300_100(biases='torch')", (28, 28, 1), 10)
    for layer in model.layers:
        if layer.weights:
            bias = np.asarray(layer.bias)
            bound = layer.kernel.shape[0] ** -0.5
            assert np.abs(bias).max() <= bound
            # The deviation of a uniform distribution.
            expected = pytest.approx(bound / 3**0.5, rel=0.5)
            assert bias.std() == expected
    model = models.build("lenet_300_100", (28, 28, 1), 10)
    assert not any(
        np.any(layer.bias) for layer in model.layers if layer.weights
    )


def test_srelu_is_a_layer_after_each_hidden_one():
    model = models.build("mlp(units=(4, 3), activation='srelu')", (5,), 2)
    units = [w.shape[0] for w in model.weights if "right" in w.name]
    assert units == [4, 4, 3, 3]
    for name in ("hidden_1", "hidden_2"):
        assert model.get_layer(name).activation is keras.activations.linear
