"""No example is on two sides, whatever decides on which it is."""

import hashlib
import itertools

import numpy as np
import pytest

from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.datasets.splits import hold_out
from cb.datasets.splits import parse_fold
from cb.datasets.splits import train_test
from cb.errors import InputError

LABELS = np.repeat(np.arange(4, dtype=np.int32), [11, 20, 33, 40])
FEATURES = np.random.default_rng(0).random((LABELS.size, 3), np.float32)
ALL = Examples(FEATURES, LABELS)


def hashes(examples):
    """Return what tells the contents of each example from all others."""
    return {
        hashlib.sha256(row.tobytes()).hexdigest() for row in examples.features
    }


def assert_disjoint(parts, whole=ALL):
    for one, other in itertools.combinations([hashes(p) for p in parts], 2):
        assert not one & other
    assert set().union(*[hashes(p) for p in parts]) == hashes(whole)


@pytest.mark.parametrize("ordered", [False, True])
def test_folds_are_disjoint_and_make_up_the_whole(ordered):
    folds = [
        hold_out(ALL, 0.1, seed, fold=f"{number}/5", ordered=ordered)
        for seed, number in enumerate(range(1, 6))
    ]
    assert_disjoint([held for _, held in folds])
    for rest, held in folds:
        assert_disjoint([rest, held])
        assert 20 <= len(held) <= 21
        if not ordered:
            counts = np.bincount(held.labels)
            assert np.abs(counts - np.bincount(LABELS) / 5).max() < 1


@pytest.mark.parametrize("number", [1, 2, 13, 50, 103])
def test_an_exact_number_is_held_out(number):
    rest, held = hold_out(ALL, 0.1, 7, number=number)
    assert len(held) == number
    assert_disjoint([rest, held])
    counts = np.bincount(held.labels, minlength=4)
    assert np.abs(counts - number * np.bincount(LABELS) / 104).max() < 1


def test_train_validation_and_test_are_disjoint():
    train, test = train_test(ALL, 0.3, "name")
    rest, held = hold_out(train, 0.2, seed=1)
    assert_disjoint([rest, held, test])
    again = train_test(ALL, 0.3, "name")[1]
    np.testing.assert_array_equal(test.features, again.features)
    assert list(np.bincount(test.labels)) == [3, 6, 10, 12]


def test_in_order_of_time_the_last_are_held_out():
    train, test = train_test(ALL, 0.25, "name", ordered=True)
    np.testing.assert_array_equal(test.features, FEATURES[78:])
    rest, held = hold_out(train, 0.5, seed=3, ordered=True)
    np.testing.assert_array_equal(rest.features, FEATURES[:39])
    np.testing.assert_array_equal(held.features, FEATURES[39:78])


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "2", "a/b", "-1/5"])
def test_wrong_folds(text):
    with pytest.raises(InputError, match="such as '2/5'"):
        parse_fold(text)


@pytest.mark.parametrize("number", [104, 200])
def test_nothing_left_to_train_on(number):
    with pytest.raises(InputError, match=f"validation_examples={number}"):
        hold_out(ALL, 0.1, 0, number=number)


def test_a_source_refuses_empty_parts_and_wrong_labels():
    with pytest.raises(InputError, match="no example in its test part"):
        DatasetSplits("x", ALL, ALL.take(np.arange(0)), 4)
    with pytest.raises(InputError, match=r"\[0, 3\). Received: 3 at example"):
        DatasetSplits("x", ALL, ALL, 3)


def test_a_limit_takes_the_same_examples_of_each_part():
    source = DatasetSplits("x", ALL, ALL, 4).limited(10)
    assert (len(source.train), len(source.test)) == (10, 10)
    again = DatasetSplits("x", ALL, ALL, 4).limited(10)
    np.testing.assert_array_equal(source.train.features, again.train.features)
    assert hashes(source.train) <= hashes(ALL)
    assert DatasetSplits("x", ALL, ALL, 4).limited(1000).train is ALL
