"""Weights of a dense model in its sparse form, and back."""

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

import cb
from cb.errors import InputError
from cb.layers.masked import masked_kernels


def dense_model(seed):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    inputs = keras.Input((6, 4))
    x = layers.SeparableConv1D(5, 2, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.GRU(4, name="gru")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


@pytest.fixture(scope="module")
def pretrained():
    model = dense_model(1)
    random = np.random.default_rng(0)
    model.set_weights([random.random(w.shape) for w in model.get_weights()])
    return model


def folded(model, masks):
    """Return the model with zeros where masks are."""
    full = cb.sparsify(model, 0.0)
    for kernel, mask in zip(masked_kernels(full), masks, strict=True):
        kernel.weight.assign(np.asarray(kernel.weight) * mask)
    return full


def save(model, path):
    if path.suffixes == [".weights", ".h5"]:
        model.save_weights(path)
    else:
        # As Keras 2 wrote them, which Keras 3 reads only.
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.mark.parametrize("form", ["model.weights.h5", "model.h5", "arrays"])
def test_dense_weights_are_read_under_the_masks(pretrained, form, tmp_path):
    sparse = cb.sparsify(dense_model(0), 0.6)
    masks = [np.array(kernel.mask) for kernel in masked_kernels(sparse)]
    weights = pretrained.get_weights()
    if form != "arrays":
        weights = tmp_path / form
        save(pretrained, weights)
    cb.conversion.load_dense_weights(sparse, weights)
    for kernel, mask in zip(masked_kernels(sparse), masks, strict=True):
        np.testing.assert_array_equal(kernel.mask, mask)
    x = np.random.default_rng(1).normal(size=(3, 6, 4)).astype("float32")
    expected = folded(pretrained, masks)
    np.testing.assert_array_equal(sparse(x), expected(x))
    # And back: the dense architecture takes what `strip` leaves.
    dense = dense_model(3)
    dense.set_weights(cb.strip(sparse).get_weights())
    np.testing.assert_array_equal(dense(x), sparse(x))


def test_a_dense_model_and_other_weights_are_refused(pretrained):
    with pytest.raises(InputError, match="no masked layer"):
        cb.conversion.load_dense_weights(pretrained, [])
    sparse = cb.sparsify(dense_model(0), 0.6)
    with pytest.raises(ValueError, match="length"):
        cb.conversion.load_dense_weights(sparse, [])
