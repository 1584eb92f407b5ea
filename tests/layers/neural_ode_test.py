"""The solution of a differential equation against closed forms."""

import keras
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

import cb
from cb import layers
from cb.layers.masked import masked_kernels

RATES = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
STATE = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")


def linear(tolerance=1e-6, **dense):
    """Return `dx/dt = x A`, whose solution at time 1 is `x exp(A)`."""
    layer = layers.NeuralODE(
        [keras.layers.Dense(3, use_bias=False, name="rates", **dense)],
        tolerance=tolerance,
    )
    layer.build((None, 3))
    layer.derivative[0].kernel.assign(RATES)
    return layer


def test_a_linear_equation_has_the_matrix_exponential_as_its_solution():
    np.testing.assert_allclose(
        linear()(STATE), STATE @ scipy.linalg.expm(RATES), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_those_of_the_solution(compiled):
    layer = linear()

    def gradients(state):
        with tf.GradientTape() as tape:
            tape.watch(state)
            loss = tf.reduce_sum(layer(state))
        return tape.gradient(loss, [state, layer.trainable_weights[0].value])

    if compiled:
        gradients = tf.function(gradients)
    by_state, by_rates = gradients(tf.constant(STATE))
    ones = np.ones_like(STATE)
    np.testing.assert_allclose(
        by_state, ones @ scipy.linalg.expm(RATES).T, rtol=1e-4, atol=1e-5
    )
    # The derivative of exp at A in the direction of the adjoint.
    expected = scipy.linalg.expm_frechet(
        RATES.T, STATE.T @ ones, compute_expm=False
    )
    np.testing.assert_allclose(by_rates, expected, rtol=1e-3, atol=1e-4)


def test_a_sparse_equation_trains_and_travels(tmp_path):
    inputs = keras.Input((3,))
    dense = keras.Model(inputs, linear(1e-3)(inputs))
    model = cb.sparsify(dense, 0.4, "uniform")
    kernels = masked_kernels(model)
    assert [int(np.sum(kernel.mask)) for kernel in kernels] == [5]
    before = cb.strip(model)(STATE)
    np.testing.assert_allclose(model(STATE), before, atol=1e-6)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(
        STATE,
        -STATE,
        epochs=4,
        verbose=0,
        callbacks=[
            cb.callbacks.Reallocation("rigl(every=2)", lambda _: (STATE, STATE))
        ],
    )
    (kernel,) = masked_kernels(model)
    assert np.sum(kernel.mask) == 5
    assert not np.any(np.where(kernel.mask, 0.0, kernel.weight))
    expected = model(STATE)
    assert not np.allclose(expected, before)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(STATE), expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_solves_in_float32(policy):
    layer = linear(1e-3, dtype=policy)
    solution = layer(STATE)
    assert solution.dtype == layer.compute_dtype
    np.testing.assert_allclose(
        tf.cast(solution, "float32"),
        STATE @ scipy.linalg.expm(RATES),
        rtol=0.05,
        atol=0.1,
    )
