"""Hashes only propose; equality decides."""

import numpy as np
import pytest
import tensorflow as tf

from cb.bundles.partition import partition


def groups(values, fingerprints, rows=None):
    values = tf.constant(values)
    rows = tf.range(tf.size(values)) if rows is None else tf.constant(rows)
    ids, count = partition(
        rows,
        tf.constant(fingerprints, tf.int64),
        lambda first, second: tf.equal(
            tf.gather(values, first), tf.gather(values, second)
        ),
    )
    return ids.numpy().tolist(), int(count)


@pytest.mark.parametrize("bits", [0, 1, 2, 10])
def test_collisions_do_not_change_the_groups(bits):
    random = np.random.default_rng(bits)
    values = random.integers(0, 9, 200)
    seen = {}
    expected = [seen.setdefault(value, len(seen) + 1) for value in values]
    assert groups(values, values % 2**bits) == (expected, len(seen))


def test_groups_are_numbered_by_first_occurrence():
    # 5 and 7 collide, so 7 is settled in a later round than 6.
    assert groups([5, 7, 6, 7, 5], [1, 1, 2, 1, 1]) == ([1, 2, 3, 2, 1], 3)


def test_rows_left_out_have_no_group():
    assert groups([4, 4, 9], [4, 4, 9], rows=[1, 2]) == ([0, 1, 2], 2)


def test_nothing_to_group_is_no_group():
    empty = np.zeros(0, np.int32)
    assert groups([4, 4], [4, 4], rows=empty) == ([0, 0], 0)
