"""Exact grouping of equal rows by their hashes."""

from collections.abc import Callable

import tensorflow as tf


def partition(
    rows: tf.Tensor,
    fingerprints: tf.Tensor,
    same: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Group the rows that are equal, in linear time.

    Equal fingerprints only propose a group: every row is compared with the
    first of its group, and those that differ are grouped again among
    themselves. The result is exact for any hash function.

    Args:
        rows: Int32 tensor `(rows,)`, ascending indices of the rows to group.
        fingerprints: Int64 tensor `(number,)`, a hash of every row, also of
            those that are not in `rows`.
        same: Callable from two int32 tensors of indices to a boolean tensor:
            whether the rows of each pair are equal.

    Returns:
        Tuple `(ids, count)`: an int32 tensor `(number,)` with the number of
        the group, from 1 in the order of first occurrence, 0 for rows that
        were left out; and the number of groups, an int32 scalar.
    """

    def settle(pending, leaders):
        _, groups = tf.unique(tf.gather(fingerprints, pending))
        first = tf.math.unsorted_segment_min(
            pending, groups, tf.reduce_max(groups) + 1
        )
        proposed = tf.gather(first, groups)
        leaders = tf.tensor_scatter_nd_update(
            leaders, pending[:, tf.newaxis], proposed
        )
        follows = tf.not_equal(pending, proposed)
        followers = tf.boolean_mask(pending, follows)
        equal = same(followers, tf.boolean_mask(proposed, follows))
        return tf.boolean_mask(followers, tf.logical_not(equal)), leaders

    number = tf.size(fingerprints)
    _, leaders = tf.while_loop(
        lambda pending, leaders: tf.size(pending) > 0,
        settle,
        (rows, tf.fill([number], -1)),
        shape_invariants=(tf.TensorShape([None]), tf.TensorShape([None])),
    )
    groups, positions = tf.unique(tf.gather(leaders, rows))
    ids = tf.scatter_nd(rows[:, tf.newaxis], positions + 1, [number])
    return ids, tf.size(groups)
