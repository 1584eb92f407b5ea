"""A sparse model made plain again."""

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.layers.masked import Masked
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers


def cnn():
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.DepthwiseConv2D(3),
            keras.layers.Flatten(),
            keras.layers.Dense(5),
        ]
    )


@pytest.fixture
def sparse():
    model = cb.sparsify(cnn(), 0.7, seed=2)
    model.compile("adam", "mse")
    random = np.random.default_rng(0)
    images = random.normal(size=(8, 8, 8, 2))
    model.fit(images, random.normal(size=(8, 5)), verbose=0)
    return model


def test_outputs_are_equal(sparse):
    images = np.random.default_rng(1).normal(size=(3, 8, 8, 2))
    np.testing.assert_allclose(
        cb.strip(sparse)(images), sparse(images), atol=1e-6
    )


class Twice(cb.layers.MaskedDense):
    """Computes something else than a dense layer."""

    def call(self, inputs):
        return 2 * super().call(inputs)


@pytest.mark.parametrize("strip", [cb.strip, cb.strip_layers])
def test_a_subclass_of_a_masked_class_has_no_dense_form(strip):
    model = keras.Sequential([keras.Input((3,)), Twice(2)])
    with pytest.raises(InputError, match="'twice.*no dense form.*Twice"):
        strip(model)
    assert isinstance(model.layers[0], Twice)


def test_no_masked_layer_is_left(sparse):
    plain = cb.strip(sparse)
    assert not any(isinstance(layer, Masked) for layer in ordered_layers(plain))
    modules = {type(layer).__module__ for layer in ordered_layers(plain)}
    assert all(module.startswith("keras.") for module in modules)
    assert plain.count_params() == cnn().count_params()


def test_inactive_weights_are_positive_zeros(sparse):
    plain = cb.strip(sparse)
    for kernel in masked_kernels(sparse):
        weights = np.asarray(plain.get_layer(kernel.name).kernel)
        inactive = weights[np.asarray(kernel.mask) == 0]
        assert not inactive.any()
        assert not np.signbit(inactive).any()


def test_a_plain_model_loads_without_cb(sparse, tmp_path):
    plain = cb.strip(sparse)
    plain.save(tmp_path / "plain.keras")
    config = (tmp_path / "plain.keras").read_bytes()
    assert b"cb>" not in config
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    images = np.zeros((2, 8, 8, 2), "float32")
    np.testing.assert_array_equal(loaded(images), plain(images))
