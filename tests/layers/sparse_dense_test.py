"""A layer that holds its active weights equals a dense one with zeros."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.errors import InputError
from cb.kernels import csr_products

INPUTS, UNITS, CONNECTIONS = 23, 37, 101


def build(shape=(None, INPUTS), **kwargs):
    layer = cb.layers.SparseDense(UNITS, CONNECTIONS, **kwargs)
    layer.build(shape)
    return layer


def reference(layer):
    """Return the whole kernel, put together one weight at a time."""
    values, indices, starts = map(
        np.asarray, (layer.values, layer.indices, layer.indptr)
    )
    kernel = np.zeros((INPUTS, UNITS), np.float32)
    for unit in range(UNITS):
        for k in range(starts[unit], starts[unit + 1]):
            kernel[indices[k], unit] = values[k]
    return kernel


def test_holds_as_many_weights_as_it_was_told_at_places_of_their_own():
    layer = build()
    kernel = reference(layer)
    assert np.count_nonzero(kernel) == CONNECTIONS
    assert [tuple(v.shape) for v in layer.trainable_variables] == [
        (CONNECTIONS,),
        (UNITS,),
    ]
    np.testing.assert_array_equal(layer.kernel, kernel)
    np.testing.assert_array_equal(layer.mask.value, kernel != 0)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("examples", [1, 2, 17, 64, 130, 300])
def test_outputs_and_gradients_are_those_of_the_whole_kernel(
    examples, workers, monkeypatch
):
    monkeypatch.setattr(csr_products, "threads", lambda: workers)
    layer = build(activation="tanh", bias_initializer="normal")
    random = np.random.default_rng(examples)
    x = random.normal(size=(examples, INPUTS)).astype("float32")
    weights = random.normal(size=(examples, UNITS)).astype("float32")
    kernel, bias = reference(layer), np.asarray(layer.bias)

    @tf.function
    def differentiate(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(weights * y)
        return y, tape.gradient(loss, [x, layer.values.value, layer.bias.value])

    y, (dx, dvalues, dbias) = differentiate(tf.constant(x))
    expected = np.tanh(x @ kernel + bias)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    error = weights * (1 - expected**2)
    np.testing.assert_allclose(dx, error @ kernel.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dbias, error.sum(axis=0), rtol=1e-4, atol=1e-4)
    # Ascending by output, then by input.
    dense = x.T @ error
    np.testing.assert_allclose(
        dvalues, dense.T[kernel.T != 0], rtol=1e-4, atol=1e-4
    )


def test_what_is_not_a_number_stays_so():
    layer = build()
    x = np.ones((70, INPUTS), "float32")
    x[3] = np.nan
    x[4] = np.inf
    y = np.asarray(layer(x))
    reached = reference(layer).any(axis=0)
    assert np.isnan(y[3, reached]).all()
    assert not np.isfinite(y[4, reached]).any()
    others = np.delete(y, [3, 4], axis=0)
    np.testing.assert_allclose(
        others, others[:1].repeat(68, axis=0), rtol=1e-5, atol=1e-6
    )


def test_axes_between_batch_and_inputs_are_examples():
    layer = build((None, 3, INPUTS))
    x = np.random.default_rng(0).normal(size=(5, 3, INPUTS)).astype("float32")
    np.testing.assert_allclose(
        layer(x), x @ reference(layer), rtol=1e-4, atol=1e-5
    )


def test_trains_and_predicts_like_any_layer():
    model = keras.Sequential([keras.Input((INPUTS,)), build()])
    model.compile("adam", "mse")
    random = np.random.default_rng(0)
    x = random.normal(size=(70, INPUTS)).astype("float32")
    y = x @ reference(build(seed=1))
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, batch_size=32, epochs=3, verbose=0)
    assert model.evaluate(x, y, verbose=0) < before
    np.testing.assert_allclose(
        model.predict(x, verbose=0, batch_size=33),
        model(x),
        rtol=1e-5,
        atol=1e-6,
    )


def test_no_examples_give_no_outputs():
    assert build()(np.zeros((0, INPUTS), "float32")).shape == (0, UNITS)


def test_saved_model_keeps_the_connections(tmp_path):
    model = keras.Sequential([keras.Input((INPUTS,)), build(use_bias=False)])
    model.layers[0].values.assign(np.arange(CONNECTIONS))
    drawn = np.random.default_rng(0).permutation(INPUTS * UNITS)
    mask = (drawn < CONNECTIONS).reshape(INPUTS, UNITS)
    model.layers[0].fill(drawn.reshape(mask.shape), mask)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for old, new in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(loaded.layers[0].mask.value, mask)


def test_connections_of_another_kernel_are_refused(tmp_path):
    def model(inputs):
        layer = cb.layers.SparseDense(UNITS, CONNECTIONS, name="sparse")
        return keras.Sequential([keras.Input((inputs,)), layer])

    model(4 * INPUTS).save_weights(tmp_path / "wide.weights.h5")
    narrow = model(INPUTS)
    with pytest.raises(ValueError, match=rf"kernel of shape \({INPUTS}, "):
        narrow.load_weights(tmp_path / "wide.weights.h5")
    assert np.asarray(narrow.layers[0].indices).max() < INPUTS
    layer = build()
    for mask in (np.ones((INPUTS, UNITS)), np.ones((2, 2))):
        with pytest.raises(InputError, match=f"{CONNECTIONS} of it active"):
            layer.fill(mask, mask != 0)


@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_a_penalty_is_that_of_the_whole_kernel(kind):
    regularizer = getattr(keras.regularizers, kind)(0.3)
    layer = build(kernel_regularizer=regularizer)
    layer(np.ones((2, INPUTS), "float32"))
    np.testing.assert_allclose(
        layer.losses[0], regularizer(reference(layer)), rtol=1e-5
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"connections": 0}, "`connections`.*positive"),
        ({"connections": 12.5}, "`connections`.*positive"),
        ({"connections": 852}, "`connections`.*at most 851"),
        ({"dtype": "mixed_float16"}, "`dtype`.*float32"),
        ({"kernel_constraint": "non_neg"}, "`kernel_constraint`.*None"),
        ({"kernel_regularizer": "orthogonal_regularizer"}, "L1, L2, L1L2"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    arguments = {"units": UNITS, "connections": 7, **arguments}
    with pytest.raises(InputError, match=message):
        cb.layers.SparseDense(**arguments).build((None, INPUTS))


def test_says_what_to_install_without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(InputError, match=r"pip install numba"):
        cb.layers.SparseDense(UNITS, CONNECTIONS)


def test_lora_and_quantization_are_refused():
    with pytest.raises(ValueError, match="cb.strip"):
        build().enable_lora(2)
    with pytest.raises(ValueError, match="cb.strip"):
        build().quantize("int8")


@pytest.mark.parametrize("compiled", [False, True])
def test_a_second_derivative_is_refused_and_not_zero(compiled):
    layer = build(activation="tanh")

    def penalty(x):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(layer(x))
            slope = tape.gradient(y, x)
            total = tf.reduce_sum(slope**2)
        return outer.gradient(total, layer.values.value)

    x = tf.ones((3, INPUTS))
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        (tf.function(penalty) if compiled else penalty)(x)
