"""What every model of the zoo promises, checked by name."""

import keras
import numpy as np
import pytest

import cb
from cb import models
from cb.errors import InputError
from cb.layers.masked import masked_kernels

# Spec and input shape that keep the test of a family small.
SMALL = {
    "mlp": ("mlp(units=(8,))", (6, 6, 1)),
    "lenet_300_100": ("lenet_300_100", (8, 8, 1)),
    "small_cnn": ("small_cnn(filters=(4, 8), units=8)", (8, 8, 3)),
}


def test_every_model_is_tested():
    assert set(models.names()) <= set(SMALL)


def build(name):
    keras.utils.set_random_seed(0)
    spec, shape = SMALL[name]
    return models.build(spec, shape, 3), shape


def every_model(function):
    return pytest.mark.parametrize("name", sorted(SMALL))(function)


@every_model
def test_trains_sparse_strips_and_saves(name, tmp_path):
    model, shape = build(name)
    assert model.output_shape == (None, 3)
    sparse = cb.sparsify(model, 0.5, seed=1)
    kernels = masked_kernels(sparse)
    for kernel in kernels:
        kernel.weight.assign(kernel.weight * kernel.mask)
    sparse.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    random = np.random.default_rng(0)
    images = random.normal(size=(4, *shape)).astype("float32")
    sparse.fit(images, np.array([0, 1, 2, 0]), batch_size=4, verbose=0)
    for kernel in kernels:
        inactive = np.asarray(kernel.mask) == 0
        assert not np.asarray(kernel.weight)[inactive].any()
    outputs = sparse(images)
    np.testing.assert_allclose(cb.strip(sparse)(images), outputs, atol=1e-6)
    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), outputs)


@every_model
def test_logits_are_float32_in_mixed_precision(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model, shape = build(name)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model(np.zeros((1, *shape), "float32")).dtype == "float32"


def test_unknown_models_and_keywords_are_refused():
    with pytest.raises(InputError, match="Unknown model"):
        models.build("mpl", (4,), 3)
    with pytest.raises(InputError, match="'unit'.*'units'"):
        models.build("mlp(unit=3)", (4,), 3)
