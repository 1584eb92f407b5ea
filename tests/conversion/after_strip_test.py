"""What Keras does with a stripped model: quantization and LoRA."""

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.layers.traversal import ordered_layers

X = np.random.default_rng(0).normal(size=(8, 6, 16)).astype("float32")


def dense():
    # Of some initial weights hardly anything comes through the sparse layers.
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 16))
    x = keras.layers.Dense(24, "relu", name="first")(inputs)
    x = keras.layers.EinsumDense("abc,cd->abd", (None, 16), name="second")(x)
    x = keras.layers.MultiHeadAttention(2, 8, name="attend")(x, x)
    return keras.Model(inputs, keras.layers.Dense(4, name="last")(x))


def stripped(in_place):
    if in_place:
        return cb.strip_layers(cb.sparsify_layers(dense(), 0.8))
    return cb.strip(cb.sparsify(dense(), 0.8))


def kernels(model):
    kinds = (keras.layers.Dense, keras.layers.EinsumDense)
    layers = [one for one in ordered_layers(model) if type(one) in kinds]
    assert len(layers) == 7
    return layers


def effective(layer, shape):
    """Return what a layer multiplies by: its answers to unit vectors."""
    inside = shape[:1]
    if isinstance(layer, keras.layers.EinsumDense):
        inputs, kernel = layer.equation.split("->")[0].split(",")
        inside = [
            s for s, axis in zip(shape, kernel, strict=True) if axis in inputs
        ]
    count = int(np.prod(inside))
    units = np.eye(count, dtype="float32").reshape(1, count, *inside)
    layer.activation = keras.activations.linear
    answers = np.asarray(layer(units)) - np.asarray(layer(0 * units))
    return answers.reshape(shape)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("mode, tolerance", [("int8", 0.05), ("int4", 0.4)])
def test_zeros_stay_zero_when_quantized(mode, tolerance, in_place):
    model = stripped(in_place)
    expected = np.asarray(model(X))
    zeros = [np.asarray(layer.kernel) == 0 for layer in kernels(model)]
    model.quantize(mode)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(model(X), expected, atol=tolerance * scale)
    for layer, zero in zip(kernels(model), zeros, strict=True):
        assert layer.quantization_mode == mode
        kernel = effective(layer, zero.shape)
        assert not kernel[zero].any()
        assert np.count_nonzero(kernel) > 0.5 * np.count_nonzero(~zero)
    with pytest.raises(InputError, match="quantize what `cb.strip` returns"):
        cb.sparsify(model, 0.5)


def test_lora_leaves_the_zeros_of_the_kernel_and_merging_fills_them(tmp_path):
    model = stripped(False)
    layer = model.get_layer("first")
    before = np.asarray(layer.kernel)
    layer.enable_lora(2)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(X, np.ones((8, 6, 4)), epochs=2, verbose=0)
    np.testing.assert_array_equal(layer._kernel, before)
    for change in (cb.sparsify, cb.sparsify_layers):
        with pytest.raises(InputError, match="LoRA of rank 2"):
            change(model, 0.5)
    path = str(tmp_path / "merged.weights.h5")
    model.save_weights(path)
    merged = dense()
    merged.load_weights(path)
    np.testing.assert_allclose(merged(X), model(X), atol=1e-5)
    filled = np.count_nonzero(merged.get_layer("first").kernel)
    assert filled > 0.9 * before.size
    assert cb.sparsify(merged, 0.5)
