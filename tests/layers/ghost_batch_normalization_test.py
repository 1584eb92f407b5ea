"""Ghost batch normalization against a NumPy reference and Keras."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from cb.errors import InputError
from cb.layers import ChunkedLoss
from cb.layers import GhostBatchNormalization
from cb.layers.ghosts import ghost_layout
from tests.layers.ghost_data import EPSILON
from tests.layers.ghost_data import MOMENTUM
from tests.layers.ghost_data import cut
from tests.layers.ghost_data import data
from tests.layers.ghost_data import made
from tests.layers.ghost_data import normalized
from tests.layers.ghost_data import reference
from tests.layers.ghost_data import small_network


def sizes(length, size, remainder="fixed", batch_size=None):
    rows, full, rest = ghost_layout(length, size, remainder, batch_size)
    return [rows] * full + [rest] * (rest > 0)


def golden(**kwargs):
    layer = made(4, **kwargs)
    x = np.array([1, 2, 3, 4, 5, 7, 9, 11], "float32")[:, None]
    layer(x, training=True)
    return float(layer.moving_mean[0]), float(layer.moving_variance[0])


def test_running_statistics_of_the_published_code():
    mean, variance = golden(unbiased_variance=True)
    assert mean == pytest.approx(1.025, abs=1e-6)
    assert variance == pytest.approx(1.6266667, abs=1e-6)


def test_running_variance_is_biased_by_default_as_in_keras():
    mean, variance = golden()
    assert mean == pytest.approx(1.025, abs=1e-6)
    assert variance == pytest.approx(1.4225, abs=1e-6)


def test_one_update_a_step():
    mean, variance = golden(running_statistics="per_step")
    assert mean == pytest.approx(0.1 * (2.5 + 8.0) / 2, abs=1e-6)
    assert variance == pytest.approx(0.9 + 0.1 * (1.25 + 5.0) / 2, abs=1e-6)


def test_printed_formula_of_the_paper():
    mean, variance = golden(running_statistics="paper")
    assert mean == pytest.approx(0.873, abs=1e-6)
    deviation = (
        0.9**4 * np.sqrt(1 + EPSILON)
        + 0.9 * 0.1 * np.sqrt(1.25 + EPSILON)
        + 0.9**2 * 0.1 * np.sqrt(5 + EPSILON)
    )
    assert variance == pytest.approx(deviation**2 - EPSILON, abs=1e-6)


@pytest.mark.parametrize(
    ("length", "batch_size", "size", "expected"),
    [
        (848, 2048, 256, [106] * 8),
        (848, 2048, 128, [53] * 16),
        (848, 4096, 128, [27] * 31 + [11]),
        (848, 1024, 256, [212] * 4),
        (608, 2048, 256, [76] * 8),
        (2656, 4096, 128, [83] * 32),
        (2048, 2048, 256, [256] * 8),
        (1000, 1000, 128, [143] * 6 + [142]),
        (64, 64, 128, [64]),
    ],
)
def test_chunks_as_published(length, batch_size, size, expected):
    assert sizes(length, size, "torch_chunk", batch_size) == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [(848, [128] * 6 + [80]), (256, [128] * 2), (100, [100]), (1, [1])],
)
def test_fixed_ghosts_leave_the_rest_to_a_smaller_one(length, expected):
    assert sizes(length, 128) == expected


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(
    ("remainder", "length", "batch_size", "lengths", "shares"),
    [
        ("fixed", 12, None, [4, 4, 4], [1, 1, 1]),
        ("fixed", 11, None, [4, 4, 3], [1, 1, 0.75]),
        ("fixed", 3, None, [3], [1]),
        ("fixed", 4, None, [4], [1]),
        ("fixed", 10, None, [4, 4, 2], [1, 1, 0.5]),
        ("torch_chunk", 11, None, [6, 5], [1, 1]),
        ("torch_chunk", 11, 16, [3, 3, 3, 2], [1, 1, 1, 1]),
        ("error", 12, None, [4, 4, 4], [1, 1, 1]),
    ],
)
def test_equals_ghosts_one_after_another(
    remainder, length, batch_size, lengths, shares, dynamic
):
    layer = made(remainder=remainder, batch_size=batch_size)
    layer.build((None, 5))
    layer.gamma.assign(data(5, seed=1))
    layer.beta.assign(data(5, seed=2))
    x = data(length, 5)
    expected, mean, variance = reference(
        x.astype("float64"),
        lengths,
        np.array(layer.gamma),
        np.array(layer.beta),
        shares,
    )
    call = layer
    if dynamic:
        spec = tf.TensorSpec((None, 5))
        call = tf.function(layer, autograph=False)
        call = call.get_concrete_function(spec, training=True)
        outputs = call(tf.constant(x))
    else:
        outputs = call(x, training=True)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, mean, atol=1e-6)
    np.testing.assert_allclose(
        layer.moving_variance, variance, atol=1e-6, rtol=1e-6
    )


def test_ghost_of_one_example_is_all_offset():
    layer = made(4, unbiased_variance=True)
    outputs = layer(data(9, 5), training=True)
    np.testing.assert_allclose(outputs[8], np.zeros(5), atol=1e-3)
    assert np.isfinite(np.array(layer.moving_variance)).all()


@pytest.mark.parametrize("length", [8, 11])
def test_drop_leaves_the_rest_out_of_all_statistics(length):
    layer = made(remainder="drop")
    x = data(length, 5).astype("float64")
    outputs = layer(x.astype("float32"), training=True)
    expected, mean, variance = reference(x[:8], [4, 4], 1, 0, [1, 1])
    last = x[4:8]
    rest = (x[8:] - last.mean(0)) / np.sqrt(last.var(0) + EPSILON)
    np.testing.assert_allclose(
        outputs, np.concatenate([expected, rest]), atol=1e-5
    )
    np.testing.assert_allclose(layer.moving_mean, mean, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-6)


@pytest.mark.parametrize("dynamic", [False, True])
def test_error_refuses_a_batch_that_does_not_divide(dynamic):
    layer = made(remainder="error", name="ghost")
    layer.build((None, 5))
    spec = tf.TensorSpec((None if dynamic else 10, 5))
    call = tf.function(lambda x: layer(x, training=True), autograph=False)
    kind = tf.errors.InvalidArgumentError if dynamic else InputError
    with pytest.raises(kind, match="virtual_batch_size=4 divides.*10"):
        call.get_concrete_function(spec)(tf.constant(data(10, 5)))


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("length", [8, 7])
def test_any_rank_and_axis(axis, length):
    layer = made(axis=axis)
    x = data(length, 3, 4, 5)
    outputs = np.array(layer(x, training=True))
    moved = np.moveaxis(x.astype("float64"), axis, -1)
    means, expected = [], []
    for ghost in cut(moved, sizes(length, 4)):
        flat = ghost.reshape(-1, ghost.shape[-1])
        means.append(flat.mean(0))
        expected.append(normalized(flat, 1, 0).reshape(ghost.shape))
    np.testing.assert_allclose(
        np.moveaxis(outputs, axis, -1), np.concatenate(expected), atol=1e-5
    )
    steps = [0.1, 0.1 * (length - 4) / 4]
    mean = steps[0] * (1 - steps[1]) * means[0] + steps[1] * means[1]
    np.testing.assert_allclose(layer.moving_mean, mean, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 5), (6, 4, 4, 3), (6, 2, 3, 2, 4)])
def test_one_ghost_is_batch_normalization_to_the_last_bit(shape):
    ghost = GhostBatchNormalization(6)
    plain = keras.layers.BatchNormalization()
    x = data(*shape)
    for _ in range(3):
        ours, theirs = ghost(x, training=True), plain(x, training=True)
        assert np.array_equal(ours, theirs)
    for ours, theirs in zip(ghost.weights, plain.weights, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("length", [1, 7, 848])
def test_inference_ignores_the_ghost_size(length):
    ghost, plain = made(4), keras.layers.BatchNormalization(epsilon=EPSILON)
    for layer in (ghost, plain):
        layer.build((None, 5))
        layer.moving_mean.assign(data(5, seed=3))
        layer.moving_variance.assign(np.abs(data(5, seed=4)))
    x = data(848, 5)
    whole = np.array(ghost(x, training=False))
    assert np.array_equal(np.array(ghost(x[:length])), whole[:length])
    assert np.array_equal(whole, np.array(plain(x, training=False)))


def gradients(model, x, y, make=lambda loss: loss):
    loss = make(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with tf.GradientTape() as tape:
        value = loss(y, model(x, training=True))
    return tape.gradient(value, [v.value for v in model.trainable_variables])


@pytest.mark.parametrize("length", [32, 24, 31, 29, 13, 5])
def test_equals_accumulation_over_chunks(length):
    def plain():
        return keras.layers.BatchNormalization(
            momentum=MOMENTUM, epsilon=EPSILON
        )

    ghost = small_network(
        lambda: made(8, remainder="torch_chunk", batch_size=32)
    )
    chunked = small_network(plain)
    x, y = data(length, 6, 6, 2), np.arange(length) % 3
    ours = gradients(ghost, x, y, lambda loss: ChunkedLoss(loss, 8, 32))
    # As PyTorch's `chunk(4)`: all of one size but the last.
    starts = range(0, length, math.ceil(length / 4))[1:]
    parts = [
        gradients(chunked, x_part, y_part)
        for x_part, y_part in zip(
            np.split(x, starts), np.split(y, starts), strict=True
        )
    ]
    theirs = [np.mean(part, axis=0) for part in zip(*parts, strict=True)]
    # What a ghost of one example differs by is divided by the root of epsilon,
    # gradients and their rounding too.
    largest = max(1, *(np.abs(their).max() for their in theirs))
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, atol=2e-5 * largest)
    for our, their in zip(
        ghost.non_trainable_variables,
        chunked.non_trainable_variables,
        strict=True,
    ):
        np.testing.assert_allclose(our, their, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("length", [6, 7])
def test_masked_positions_are_left_out(length):
    layer = made(4)
    x, mask = data(length, 3, 5), np.ones((length, 3), bool)
    mask[1, 2] = mask[5, 0] = mask[4, :] = False
    x[~mask] = np.nan
    outputs = np.array(layer(x, training=True, mask=mask))
    for start in (0, 4):
        real = mask[start : start + 4]
        ghost = x[start : start + 4][real].astype("float64")
        np.testing.assert_allclose(
            outputs[start : start + 4][real],
            normalized(ghost, 1, 0),
            atol=1e-5,
        )
    assert np.isfinite(np.array(layer.moving_variance)).all()


def test_ghost_without_a_real_position_counts_nothing():
    layer = made(4)
    mask = np.array([[True]] * 4 + [[False]] * 4)
    x = data(8, 1, 5)
    layer(x, training=True, mask=mask)
    expected = 0.1 * x[:4].mean((0, 1))
    np.testing.assert_allclose(layer.moving_mean, expected, atol=1e-6)


def test_frozen_layer_normalizes_by_running_statistics():
    layer = made(4)
    layer.trainable = False
    x = data(8, 5)
    outputs = layer(x, training=True)
    np.testing.assert_allclose(outputs, x / np.sqrt(1 + EPSILON), rtol=1e-6)
    assert not np.array(layer.moving_mean).any()
