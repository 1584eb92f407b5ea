"""Label smoothing, mixup and multiplicative noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from cb.errors import InputError
from cb.optimization.batches import mixup
from cb.optimization.batches import multiplicative_noise
from cb.optimization.batches import smooth_labels


def test_smoothed_labels():
    smoothed = smooth_labels(tf.constant([[2], [0]]), 4, 0.1)
    expected = [[0.025, 0.025, 0.925, 0.025], [0.925, 0.025, 0.025, 0.025]]
    np.testing.assert_allclose(smoothed, expected, rtol=1e-6)


def test_smoothing_is_that_of_keras():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 8)
    logits = rng.normal(size=(8, 5)).astype("float32")
    ours = keras.losses.CategoricalCrossentropy(from_logits=True)(
        smooth_labels(labels, 5, 0.2), logits
    )
    theirs = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.2
    )(np.eye(5)[labels], logits)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_mixup_mixes_inputs_and_targets_alike():
    batch = 16
    inputs = tf.one_hot(tf.range(batch), batch)
    mixed, targets = mixup(inputs, 2.0 * inputs, 0.4, (1, 2))
    mixed = np.array(mixed)
    np.testing.assert_allclose(targets, 2 * mixed, rtol=1e-6)
    np.testing.assert_allclose(mixed.sum(1), np.ones(batch), rtol=1e-6)
    np.testing.assert_allclose(mixed.sum(0), np.ones(batch), rtol=1e-6)
    own = np.diag(mixed)
    share = own[own < 1].min()
    others = mixed - np.diag(own)
    rest = others[others > 0]
    np.testing.assert_allclose(rest, 1 - share, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_draws_from_beta(alpha):
    inputs = tf.constant([[0.0], [1.0]])

    @tf.function
    def share(seed):
        mixed, _ = mixup(inputs, inputs, alpha, seed)
        return mixed[1, 0]

    seeds = tf.stack([tf.range(2000), tf.zeros(2000, tf.int32)], 1)
    shares = tf.map_fn(share, seeds, fn_output_signature=tf.float32).numpy()
    # Half of the time each example is mixed with itself.
    moved = shares[shares < 1]
    assert 900 < moved.size < 1100
    expected = stats.beta(alpha, alpha)
    assert stats.kstest(moved, expected.cdf).pvalue > 0.01


def test_mixup_is_a_function_of_its_seed():
    inputs = tf.random.stateless_normal([8, 3], (0, 0))
    first = mixup(inputs, inputs, 0.4, (1, 2))[0]
    assert np.array_equal(first, mixup(inputs, inputs, 0.4, (1, 2))[0])
    assert not np.array_equal(first, mixup(inputs, inputs, 0.4, (1, 3))[0])
    assert mixup(inputs, inputs, 0.0, (1, 2))[0] is inputs


def test_mixup_of_tiny_alpha_is_finite():
    inputs = tf.ones((4, 2))
    for seed in range(20):
        assert np.isfinite(mixup(inputs, inputs, 1e-3, (seed, 0))[0]).all()


def test_noise_multiplies_the_gradient_of_each_example():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 3)).astype("float32")
    y = rng.normal(size=(6, 1)).astype("float32")
    noise = multiplicative_noise(6, 0.5, (3, 4))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    loss = keras.losses.MeanSquaredError()
    kernel = model.layers[0].kernel

    def gradient(rows, weights=None):
        with tf.GradientTape() as tape:
            value = loss(y[rows], model(x[rows]), sample_weight=weights)
        return tape.gradient(value, kernel.value).numpy()

    each = [gradient([row]) for row in range(6)]
    expected = np.mean(
        [z * g for z, g in zip(noise.numpy(), each, strict=True)], axis=0
    )
    ours = gradient(list(range(6)), noise)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_noise_has_mean_one_and_the_given_deviation():
    noise = multiplicative_noise(20000, 0.5, (3, 4)).numpy()
    assert abs(noise.mean() - 1) < 0.02
    assert abs(noise.std() - 0.5) < 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: smooth_labels([0], 3, 1.5), "smoothing=1.5"),
        (lambda: mixup(None, None, -1.0, None), "alpha=-1.0"),
    ],
)
def test_wrong_argument_is_one_clear_line(call, message):
    with pytest.raises(InputError, match=message):
        call()
