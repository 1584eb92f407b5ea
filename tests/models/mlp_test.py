"""Multilayer perceptrons."""

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
