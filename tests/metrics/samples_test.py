"""A fixed, seeded part of the data."""

import numpy as np
import pytest
import tensorflow as tf

from cb.errors import InputError
from cb.metrics.samples import sample


def arrays(count=100):
    return np.arange(count, dtype=np.float32)[:, None], np.arange(count)


def dataset(count=100):
    return tf.data.Dataset.from_tensor_slices(arrays(count)).batch(7)


@pytest.mark.parametrize("data", [arrays, dataset])
def test_a_seed_decides_which_examples_are_drawn(data):
    x, labels = sample(data(), 20, seed=3)
    again, _ = sample(data(), 20, seed=3)
    other, _ = sample(data(), 20, seed=4)
    assert len(set(labels.tolist())) == 20
    np.testing.assert_array_equal(x[:, 0], labels)
    np.testing.assert_array_equal(x, again)
    assert not np.array_equal(x, other)


def test_structures_are_kept_and_one_hot_labels_become_integers():
    x, y = arrays(6)
    (drawn,), labels = sample(((x,), np.eye(6)[y]), 4, seed=0)
    np.testing.assert_array_equal(drawn[:, 0], labels)
    _, labels = sample((x, y[:, None]), 4, seed=0)
    np.testing.assert_array_equal(drawn[:, 0], labels)


@pytest.mark.parametrize("data", [arrays, dataset])
def test_fewer_examples_than_asked_for_are_refused(data):
    with pytest.raises(InputError, match="at most 100.*num_samples=101"):
        sample(data(), 101, seed=0)


def test_data_without_labels_are_refused():
    with pytest.raises(InputError, match="`data` must be a tuple"):
        sample(np.zeros((5, 2)), 2, seed=0)
    with pytest.raises(InputError, match="must yield batches"):
        sample(tf.data.Dataset.range(9).batch(3), 2, seed=0)
