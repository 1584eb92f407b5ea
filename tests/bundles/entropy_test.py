"""The published partition, bit for bit, against the spec and NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from cb.bundles import entropy as entropy_module
from cb.bundles.entropy import amplitude
from cb.bundles.entropy import buckets
from cb.bundles.entropy import bundle_entropy
from cb.bundles.entropy import bundle_entropy_of_keys
from cb.bundles.entropy import keys
from cb.bundles.inputs import reciprocal
from cb.errors import InputError

ACTIVATIONS = [0, 0.001, 0.0019, 0.002, 0.0039, 0.005, 0.007, 0.008, 0.012]
SIX = [[0, 0], [0.001, 0], [0.003, 0], [1, 1], [1, 1.0005], [2, 2]]
SIX_LABELS = [0, 1, 0, 2, 2, 1]


def reference_buckets(activations, learning_rate, batch_size, amplitude):
    """Three float32 operations, as section 2 of the spec has them."""
    activations = np.asarray(activations, np.float32)
    scaled = activations * np.float32(learning_rate)
    return np.float32(amplitude) - scaled * np.float32(1.0 / batch_size)


def reference_ids(rows):
    """The greedy loop: a new bundle takes every equal row still free."""
    rows = rows.reshape(len(rows), -1)
    ids = np.zeros(len(rows), int)
    for first in range(len(rows)):
        if ids[first] == 0:
            same = (rows == rows[first]).all(axis=1) & (ids == 0)
            ids[same] = ids.max() + 1
    return ids


def reference_entropy(ids, labels, num_classes, epsilon=1e-5):
    total = 0.0
    for bundle in range(1, ids.max() + 1):
        members = np.asarray(labels)[ids == bundle]
        p = np.bincount(members, minlength=num_classes) / len(members)
        with np.errstate(divide="ignore", invalid="ignore"):
            mixed = -np.nansum(p * np.log(p + epsilon))
        total += max(0.0, mixed) * len(members)
    return total / len(ids)


def values(results):
    ids, count, entropy = results
    return ids.numpy().tolist(), int(count), float(entropy)


@pytest.mark.parametrize(
    ("amplitude", "offsets"),
    [
        (1.0, [0, 0, 0, -1, -1, -1, -2, -2, -3]),
        (1.5, [0, 0, 0, 0, -1, -1, -1, -1, -2]),
        (0.775, [0, 0, 0, -1, -1, -1, -2, -2, -3]),
        (2.5, [0, 0, 0, 0, 0, 0, 0, -1, -1]),
    ],
)
def test_steps_land_on_the_float_grid_below_the_amplitude(amplitude, offsets):
    landed = buckets(
        tf.constant(ACTIVATIONS, tf.float32),
        tf.constant(1e-3, tf.float32),
        reciprocal(64),
        tf.constant(amplitude, tf.float32),
    )
    units = landed.numpy().view(np.int32) - np.float32(amplitude).view(np.int32)
    assert units.tolist() == offsets


@pytest.mark.parametrize(
    ("amplitude", "ids", "entropy"),
    [
        (1.0, [1, 1, 2, 3, 3, 4], 0.23104239),
        (1.5, [1, 1, 1, 2, 2, 3], 0.31824708),
    ],
)
def test_larger_weights_merge_bundles(amplitude, ids, entropy):
    result = bundle_entropy(
        np.array(SIX, np.float32), SIX_LABELS, 1e-3, 64, amplitude, 3
    )
    assert values(result) == (ids, max(ids), pytest.approx(entropy, abs=2e-8))


def test_equal_examples_are_one_bundle_with_the_entropy_of_the_labels():
    labels = np.arange(64) % 10
    ids, count, entropy = values(
        bundle_entropy(np.zeros((64, 3)), labels, 1e-3, 64, 1.0, 10)
    )
    assert (ids, count) == ([1] * 64, 1)
    assert entropy == pytest.approx(2.2995827, abs=3e-7)


def test_one_pair_of_two_classes_is_the_smallest_entropy():
    rows = np.arange(64, dtype=np.float32)[:, None] * np.ones((1, 4))
    rows[1] = rows[0]
    _, count, entropy = values(
        bundle_entropy(rows, np.arange(64) % 10, 1e-3, 64, 1.0, 10)
    )
    assert count == 63
    assert entropy == pytest.approx(0.02166022, abs=2e-8)


def test_pure_bundles_have_exactly_no_entropy():
    rows = np.arange(32, dtype=np.float32)[:, None]
    distinct = bundle_entropy(rows, np.arange(32) % 4, 1e-3, 64, 1.0, 4)
    alike = bundle_entropy(rows * 0, np.full(32, 3), 1e-3, 64, 1.0, 4)
    assert values(distinct) == (list(range(1, 33)), 32, 0.0)
    assert values(alike) == ([1] * 32, 1, 0.0)


def test_order_of_examples_does_not_matter():
    random = np.random.default_rng(1)
    rows = random.integers(0, 4, (300, 3)).astype(np.float32)
    labels = random.integers(0, 5, 300)
    order = random.permutation(300)
    ids, count, entropy = bundle_entropy(rows, labels, 1.0, 8, 1.0, 5)
    ids_2, count_2, entropy_2 = bundle_entropy(
        rows[order], labels[order], 1.0, 8, 1.0, 5
    )
    together = ids.numpy()[order][:, None] == ids.numpy()[order]
    together_2 = ids_2.numpy()[:, None] == ids_2.numpy()
    np.testing.assert_array_equal(together, together_2)
    assert int(count) == int(count_2)
    assert float(entropy) == pytest.approx(float(entropy_2), abs=1e-6)


@pytest.mark.parametrize("batch_size", [64, 96, 100])
@pytest.mark.parametrize("constant", [True, False])
def test_rounding_survives_an_outer_function(batch_size, constant):
    # Neighbouring floats: which of them merge depends on every rounding.
    rows = np.arange(4096, dtype=np.int32) + np.float32(1.9).view(np.int32)
    rows = rows.view(np.float32)[:, None]
    labels = np.arange(4096) % 10

    @tf.function
    def outer(rows, learning_rate, divisor):
        if constant:
            learning_rate, divisor = 1e-3, batch_size
        return bundle_entropy(rows, labels, learning_rate, divisor, 0.0, 10)

    ids, _, entropy = outer(
        tf.constant(rows), tf.constant(1e-3), tf.constant(batch_size)
    )
    expected = reference_ids(reference_buckets(rows, 1e-3, batch_size, 0.0))
    np.testing.assert_array_equal(ids, expected)
    assert float(entropy) == pytest.approx(
        reference_entropy(expected, labels, 10), abs=1e-6
    )
    # Had the products been folded, the bundles would be others.
    folded = reference_ids(np.float32(1e-3) * np.float32(1 / batch_size) * rows)
    assert np.array_equal(folded, expected) == (batch_size == 64)


@pytest.mark.parametrize("seed", range(6))
def test_partition_equals_greedy_grouping_of_quantised_data(seed):
    random = np.random.default_rng(seed)
    examples = [1, 2, 64, 511, 1024, 2048][seed]
    width = int(random.integers(1, 40))
    distinct = random.choice([-1.0, 0.0, 1e-3, 0.5, 3.0], (examples, width))
    rows = distinct[random.integers(0, max(1, examples // 3), examples)]
    rows = rows + random.uniform(0, 3e-3, rows.shape)
    rows = rows.astype(np.float32)
    labels = random.integers(0, 7, examples)
    learning_rate, batch_size = [(1e-3, 64), (0.1, 100), (5e-3, 96)][seed % 3]
    weight = [1.0, 0.775, 2.5, 1e-3, 0.0, 1.5][seed]
    expected = reference_ids(
        reference_buckets(rows, learning_rate, batch_size, weight)
    )
    ids, count, entropy = bundle_entropy(
        rows, labels, learning_rate, batch_size, weight, 7
    )
    np.testing.assert_array_equal(ids, expected)
    assert int(count) == expected.max()
    assert float(entropy) == pytest.approx(
        reference_entropy(expected, labels, 7), abs=1e-6
    )


def test_the_published_epsilon_can_be_left_out():
    labels = np.arange(60) % 3
    _, _, entropy = bundle_entropy(
        np.zeros((60, 2)), labels, 1e-3, 64, 1.0, 3, epsilon=0.0
    )
    assert float(entropy) == pytest.approx(np.log(3), abs=1e-7)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_activations_that_are_not_finite_are_never_no_conflict(wrong):
    rows = np.arange(6, dtype=np.float32)[:, None]
    rows[2] = wrong
    ids, count, entropy = values(
        bundle_entropy(rows, [0, 1, 0, 1, 0, 1], 1.0, 2, 1.0, 2)
    )
    assert ids == [1, 2, 0, 3, 4, 5]
    assert count == 5
    assert np.isnan(entropy)


def test_weights_that_are_not_finite_leave_no_bundle():
    ids, count, entropy = values(
        bundle_entropy(np.ones((3, 2)), [0, 1, 1], 1.0, 2, np.nan, 2)
    )
    assert (ids, count) == ([0, 0, 0], 0)
    assert np.isnan(entropy)


def test_zero_has_one_sign():
    rows = np.array([[0.0, 1.0], [-0.0, 1.0], [1e-39, 1.0]], np.float32)
    ids, _, _ = bundle_entropy(rows, [0, 1, 1], 1.0, 1, 0.0, 2)
    assert ids.numpy().tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_types_are_read_as_float32(dtype):
    rows = tf.cast([[0.0], [0.5], [0.5]], dtype)
    ids, _, _ = bundle_entropy(rows, [0, 1, 1], 1.0, 1, 1.0, 2)
    assert ids.numpy().tolist() == [1, 2, 2]


def test_rows_longer_than_a_piece_are_compared_whole():
    rows = np.zeros((5, entropy_module.PIECE + 3), np.float32)
    rows[3, -1] = 1.0
    ids, _, _ = bundle_entropy(rows, [0] * 5, 1.0, 1, 1.0, 2)
    assert ids.numpy().tolist() == [1, 1, 1, 2, 1]


def test_keys_give_what_the_rows_give():
    random = np.random.default_rng(5)
    rows = random.integers(0, 3, (500, 4)).astype(np.float32)
    rows[7, 1] = np.nan
    labels = random.integers(0, 3, 500)
    direct = values(bundle_entropy(rows, labels, 1.0, 8, 1.0, 3))
    pieces = [keys(part, 1.0, 8, 1.0) for part in np.split(rows, [100, 130])]
    merged = values(
        bundle_entropy_of_keys(
            tf.concat(pieces, 0),
            tf.constant(labels),
            tf.constant(3, tf.int64),
            tf.constant(1e-5, tf.float64),
        )
    )
    np.testing.assert_equal(merged, direct)


def test_amplitude_is_the_largest_absolute_weight():
    weights = [tf.constant([[0.5, -2.0]]), tf.Variable([1.0], dtype=tf.float32)]
    assert float(amplitude(weights)) == 2.0
    assert float(amplitude([])) == 0.0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_amplitude_of_diverged_weights_is_not_a_number(wrong):
    weights = [tf.ones((5, 5)), tf.constant([1.0, wrong] + [2.0] * 20)]
    assert np.isnan(amplitude(weights))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [0, 3, 1]}, r"`labels` must be in.*label 3"),
        ({"labels": [0, -1, 1]}, r"`labels` must be in.*label -1"),
        ({"labels": [0, 1]}, "one label for each of the 3 examples"),
        ({"labels": [0.0, 1.0, 0.0]}, "`labels` must be integers"),
        ({"activations": np.zeros((0, 4))}, "at least one example"),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive"),
        ({"batch_size": -1}, "`batch_size` must be positive"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    good = {
        "activations": np.zeros((3, 2), np.float32),
        "labels": [0, 1, 2],
        "learning_rate": 0.1,
        "batch_size": 32,
        "amplitude": 1.0,
        "num_classes": 3,
    }
    with pytest.raises(InputError, match=message) as error:
        bundle_entropy(**(good | arguments))
    assert "\n" not in str(error.value)


def test_labels_out_of_range_are_refused_inside_a_function_too():
    @tf.function
    def outer(labels):
        return bundle_entropy(tf.zeros((3, 2)), labels, 0.1, 32, 1.0, 3)

    with pytest.raises(tf.errors.InvalidArgumentError, match="num_classes"):
        outer(tf.constant([0, 1, 3]))
