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


def perceptron():
    sizes = (20, 20, 3)
    layers = [keras.layers.Dense(size, "tanh") for size in sizes]
    return keras.Sequential([keras.Input((20,)), *layers])


@pytest.mark.parametrize("min_size", [1, 100])
def test_kernels_on_csr_take_dense_weights(min_size):
    dense = perceptron()
    masked = cb.sparsify(dense, 0.9)
    sparse = cb.to_csr(masked, max_density=1.0, min_size=min_size)
    random = np.random.default_rng(0)
    weights = [random.normal(size=w.shape) for w in dense.get_weights()]
    for model in (masked, sparse):
        cb.conversion.load_dense_weights(model, weights)
    x = random.normal(size=(4, 20)).astype("float32")
    np.testing.assert_allclose(sparse(x), masked(x), atol=1e-5)


def test_kernels_of_few_values_refuse_dense_weights():
    dense = perceptron()
    tied = cb.conversion.tie(dense, 0.5)
    with pytest.raises(InputError, match="fewer values.*TiedDense"):
        cb.conversion.load_dense_weights(tied, dense.get_weights())


@keras.saving.register_keras_serializable("test")
class SameNames(keras.Model):
    """A subclassed model two of whose layers have one name."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [keras.layers.Dense(4, name="same") for _ in range(2)]

    def build(self, input_shape):
        for part in self.parts:
            part.build((None, 4))

    def call(self, inputs):
        return self.parts[1](self.parts[0](inputs))


def test_layers_of_one_name_take_their_own():
    x = np.ones((2, 4), "float32")
    dense = SameNames()
    outputs = dense(x)
    other = SameNames()
    other(x)
    sparse = cb.sparsify(other, 0.0)
    cb.conversion.load_dense_weights(sparse, dense.get_weights())
    np.testing.assert_array_equal(sparse(x), outputs)
