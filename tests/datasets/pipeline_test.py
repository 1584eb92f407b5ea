"""Batches are a function of seed and step, and nothing is lost."""

import math
import time

import numpy as np
import pytest
import tensorflow as tf

from cb import datasets
from cb.datasets.augmentation.randomness import uniform
from cb.datasets.dataset_splits import Examples
from cb.datasets.pipeline import TIMED_EVERY
from cb.datasets.pipeline import TrainingBatches
from cb.datasets.pipeline import evaluation_batches
from cb.datasets.splits import hold_out
from cb.errors import InputError


def numbered(count, shape=()):
    """Return examples whose features are their own number."""
    numbers = np.arange(count, dtype=np.float32)
    features = np.broadcast_to(
        numbers.reshape(-1, *[1] * len(shape)), (count, *shape)
    )
    return Examples(np.array(features), np.arange(count, dtype=np.int32))


def labels(batches, first, last):
    return [y.numpy() for _, y in batches.dataset(first, last)]


def test_every_epoch_is_a_new_permutation():
    batches = TrainingBatches(numbered(60), 10, seed=1)
    assert batches.steps_per_epoch == 6
    epochs = [np.concatenate(labels(batches, 6 * e, 6 * e + 6)) for e in (0, 1)]
    for order in epochs:
        assert sorted(order) == list(range(60))
    assert not np.array_equal(*epochs)
    other = TrainingBatches(numbered(60), 10, seed=2)
    assert not np.array_equal(np.concatenate(labels(other, 0, 6)), epochs[0])


def test_any_step_can_be_asked_for():
    batches = TrainingBatches(numbered(64), 10, seed=0)
    whole = labels(batches, 0, 30)
    np.testing.assert_array_equal(whole[17:], labels(batches, 17, 30))


def test_a_step_waits_until_its_batch_is_there():
    batches = TrainingBatches(numbered(64), 10, seed=0)
    before = time.perf_counter()
    iterator = iter(batches.dataset(0, TIMED_EVERY + 1))
    for _ in range(TIMED_EVERY + 1):
        next(iterator)
    after = time.perf_counter()
    assert 0 < batches.seconds_waited(0, before) < after - before
    assert batches.seconds_waited(1, before) is None
    assert batches.seconds_waited(TIMED_EVERY, after) == 0.0


def test_features_stay_with_their_labels():
    batches = TrainingBatches(numbered(40, (2, 2, 1)), 8, seed=0)
    for features, y in batches.dataset(0, 5):
        np.testing.assert_array_equal(features[:, 1, 1, 0], y)


def test_probe_batches_have_an_order_of_their_own():
    batches = TrainingBatches(numbered(50), 10, seed=0)
    probe = batches.probe(2)[1].numpy()
    np.testing.assert_array_equal(probe, batches.probe(2)[1].numpy())
    assert not np.array_equal(probe, labels(batches, 2, 3)[0])


def test_pixels_are_scaled_to_one():
    images = np.full((4, 2, 2, 1), 255, np.uint8)
    examples = Examples(images, np.zeros(4, np.int32))
    for dataset in (
        TrainingBatches(examples, 2, 0).dataset(0, 1),
        evaluation_batches(examples, 2),
    ):
        features = next(iter(dataset))[0]
        assert features.dtype == tf.float32
        np.testing.assert_array_equal(features, 1.0)


@pytest.mark.parametrize(
    "count, size, replicas",
    [(10, 4, 1), (9, 4, 2), (3, 2, 2), (7, 4, 4), (13, 8, 4), (11, 4, 4)],
)
def test_evaluation_sees_every_example_once(count, size, replicas):
    dataset = evaluation_batches(numbered(count), size, replicas)
    parts = [y.numpy() for _, y in dataset]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(count))
    for part in parts:
        # As TensorFlow shares out a batch.
        each = math.ceil(len(part) / replicas)
        assert len(part[each * (replicas - 1) :]) > 0


def test_replicas_are_given_what_evaluation_expects(two_replicas):
    for count, size in ((3, 2), (9, 4), (10, 4)):
        batches = evaluation_batches(numbered(count), size, 2)
        for _, y in two_replicas.experimental_distribute_dataset(batches):
            for part in two_replicas.experimental_local_results(y):
                assert len(part) > 0


@pytest.mark.parametrize("count", [3, 5, 6])
def test_too_few_examples_for_the_replicas_are_refused(count):
    with pytest.raises(InputError, match=f"share {count} examples among 4"):
        evaluation_batches(numbered(count), 4, 4)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError, match="at most .* 5. Received.*=6"):
        TrainingBatches(numbered(5), 6, seed=0)


def test_augmentation_follows_the_example_not_its_place():
    images = np.random.default_rng(0).random((32, 6, 6, 1), np.float32)
    examples = Examples(images, np.arange(32, dtype=np.int32))
    seen = []
    for size in (8, 16):
        batches = TrainingBatches(examples, size, 3, "pad_crop(2)|flip")
        pairs = {}
        for features, y in batches.dataset(0, 32 // size):
            pairs |= dict(zip(y.numpy(), features.numpy(), strict=True))
        seen.append(np.stack([pairs[number] for number in range(32)]))
    np.testing.assert_array_equal(*seen)
    assert not np.array_equal(seen[0], images)


def test_flip_and_crop_equal_plain_numpy():
    images = np.random.default_rng(0).random((64, 5, 4, 2), np.float32)
    examples = Examples(images, np.arange(64, dtype=np.int32))
    seed, padding = 7, 1
    batches = TrainingBatches(examples, 64, seed, "pad_crop(1)|flip")
    features, y = next(iter(batches.dataset(0, 1)))
    numbers = {
        name: uniform(seed, tf.constant(0), y, name).numpy()
        for name in ("0/row", "0/column", "1/flip")
    }
    width = [(padding, padding), (padding, padding), (0, 0)]
    for place, label in enumerate(y.numpy()):
        row = int(numbers["0/row"][place] * 3)
        column = int(numbers["0/column"][place] * 3)
        padded = np.pad(images[label], width, mode="reflect")
        expected = padded[row : row + 5, column : column + 4]
        if numbers["1/flip"][place] < 0.5:
            expected = expected[:, ::-1]
        np.testing.assert_array_equal(features[place], expected)


def test_random_numbers_are_uniform_and_independent():
    draws = [
        uniform(0, tf.constant(epoch), tf.range(50_000), "x").numpy()
        for epoch in (0, 1)
    ]
    for draw in draws:
        counts = np.histogram(draw, 20, (0, 1))[0]
        # Chi-squared with 19 degrees of freedom: 43.8 is its 99.9 % point.
        assert np.sum((counts - 2500) ** 2 / 2500) < 43.8
    assert abs(np.corrcoef(*draws)[0, 1]) < 0.02
    assert abs(np.corrcoef(draws[0][1:], draws[0][:-1])[0, 1]) < 0.02


def test_hold_out_is_stratified_disjoint_and_seeded():
    y = np.repeat(np.arange(4, dtype=np.int32), [10, 20, 30, 40])
    examples = Examples(np.arange(100, dtype=np.float32), y)
    train, held = hold_out(examples, 0.2, seed=5)
    assert list(np.bincount(held.labels)) == [2, 4, 6, 8]
    together = np.concatenate([train.features, held.features])
    assert sorted(together) == list(range(100))
    again = hold_out(examples, 0.2, seed=5)[1]
    np.testing.assert_array_equal(held.features, again.features)
    other = hold_out(examples, 0.2, seed=6)[1]
    assert not np.array_equal(held.features, other.features)


def test_nothing_is_held_out_on_request():
    examples = numbered(10)
    assert hold_out(examples, 0.0, seed=0) == (examples, None)


def test_a_hold_out_of_nothing_is_refused():
    with pytest.raises(InputError, match="validation_fraction=0.001"):
        hold_out(numbered(10), 0.001, seed=0)


def test_digits_split_is_disjoint_and_always_the_same():
    source = datasets.load("digits")
    assert (len(source.train), len(source.test)) == (1437, 360)
    assert source.input_shape == (8, 8, 1)
    assert set(source.test.labels) == set(range(10))
    again = datasets.load("digits")
    np.testing.assert_array_equal(source.test.labels, again.test.labels)
