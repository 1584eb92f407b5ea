"""The S-shaped rectifier against the three lines of its paper."""

import keras
import numpy as np
import tensorflow as tf

from cb import layers

X = np.linspace(-4, 9, 53, dtype=np.float32).reshape(-1, 1)


def test_it_is_three_lines():
    layer = layers.SReLU()
    layer.build((None, 1))
    left, a_left, right, a_right = -1.0, 0.25, -3.0, 2.0
    for weight, value in zip(
        (layer.t_left, layer.a_left, layer.t_right, layer.a_right),
        (left, a_left, right, a_right),
        strict=True,
    ):
        weight.assign([value])
    end = left + abs(right)
    expected = np.piecewise(
        X.astype(float),
        [X <= left, (X > left) & (X < end), X >= end],
        [
            lambda x: left + a_left * (x - left),
            lambda x: x,
            lambda x: end + a_right * (x - end),
        ],
    )
    np.testing.assert_allclose(layer(X), expected, atol=1e-6)


def test_gradients_are_those_of_the_lines():
    layer = layers.SReLU()
    layer.build((None, 1))
    for weight, value in zip(layer.weights, (0.5, 0.25, 2.0, 3.0), strict=True):
        weight.assign([value])
    x = tf.constant([[-1.0], [1.0], [4.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x))
    by_x, *by_weights = tape.gradient(
        total, [x, *(weight.value for weight in layer.weights)]
    )
    np.testing.assert_allclose(by_x, [[0.25], [1.0], [3.0]])
    # By hand: the left line gives 0.75 and -1.5, the right one -2 and 1.5;
    # the threshold on the right moves with that on the left.
    np.testing.assert_allclose(
        [float(g[0]) for g in by_weights], [0.75 - 2.0, -1.5, -2.0, 1.5]
    )


def test_it_starts_as_the_published_one_and_learns():
    model = keras.Sequential([keras.Input((1000,)), layers.SReLU()])
    t_left, a_left, t_right, a_right = model.get_weights()
    assert not t_left.any() and (a_right == 1).all()
    for values, end in ((a_left, 1), (t_right, 5)):
        assert 0 <= values.min() and values.max() <= end
        assert abs(values.mean() - end / 2) < 0.05 * end
    assert len(model.trainable_weights) == 4
