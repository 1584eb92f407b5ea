"""Bundles of examples that a weight update cannot separate."""

from collections.abc import Callable
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from cb.bundles.inputs import check_labels
from cb.bundles.inputs import check_step
from cb.bundles.inputs import flatten
from cb.bundles.inputs import reciprocal
from cb.bundles.partition import partition

# Added to every probability under the logarithm, as in the published code.
PUBLISHED_EPSILON = 1e-5
# Rows are read in pieces of about this many numbers, to stay in the cache.
PIECE = 2**16
# Prepended to a row for the hash of a second, independent key.
SALT = 0x5EED
SMALLEST_NORMAL = np.finfo(np.float32).tiny
# Numbers that differ from one above this differ by a normal number.
SMALL = 1e-30


def bundle_entropy(
    activations,
    labels,
    learning_rate,
    batch_size,
    amplitude,
    num_classes,
    epsilon=PUBLISHED_EPSILON,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Partition examples into bundles and measure how mixed these are.

    A training step changes a weight of size `amplitude` by about
    `learning_rate / batch_size * activation`. Two examples are in the same
    bundle if in float32 their steps lead to the same weight in every
    component: no update from this layer on can tell them apart. Bundles of
    several classes are conflicts. Their entropy, weighted by size, is 0
    without conflicts and `log(num_classes)` at most.

    This is a `tf.function`: it is compiled once for all shapes, takes time
    proportional to the activations and memory to the number of examples,
    and can be called inside other functions, but not with
    `jit_compile=True`, which would round differently.

    Args:
        activations: Float tensor `(examples, ...)`, output of a layer.
        labels: Integer tensor `(examples,)` with values in
            `[0, num_classes)`.
        learning_rate: Float, of the step.
        batch_size: Integer, examples of the step, not of this call.
        amplitude: Float, largest absolute weight of the following layers.
        num_classes: Integer.
        epsilon: Float, added to the probabilities under the logarithm.
            Defaults to the published value; `0` gives the exact entropy.

    Returns:
        Tuple `(ids, count, entropy)`: an int32 tensor `(examples,)` with the
        bundles, numbered from 1 in the order of first occurrence; their
        number, an int32 scalar; the entropy in nats, a float32 scalar.
        Examples whose activations are not finite belong to no bundle, have
        id 0 and make the entropy NaN.

    Raises:
        InputError: If shapes do not fit, there are no examples, or a label
            or number is out of range. Labels that are known only when a
            graph runs raise `tf.errors.InvalidArgumentError` there.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    """
    activations = flatten(activations)
    labels = check_labels(labels, activations.shape[0], num_classes)
    check_step(learning_rate, batch_size)
    return _bundle_entropy(
        activations,
        _step(learning_rate, batch_size, amplitude),
        labels,
        tf.cast(num_classes, tf.int64),
        tf.cast(epsilon, tf.float64),
    )


def amplitude(weights: Iterable) -> tf.Tensor:
    """Return the largest absolute value of some tensors, 0 without any.

    Args:
        weights: Float tensors or variables of any shapes.

    Returns:
        Float32 scalar tensor, NaN if a weight is not finite.
    """
    weights = [tf.cast(weight, tf.float32) for weight in weights]
    if not weights:
        return tf.zeros(())
    largest = [tf.reduce_max(tf.abs(weight)) for weight in weights]
    # A maximum may ignore NaN.
    finite = [tf.reduce_all(tf.math.is_finite(weight)) for weight in weights]
    return tf.where(tf.reduce_all(finite), tf.reduce_max(largest), np.nan)


def keys(activations, learning_rate, batch_size, amplitude) -> tf.Tensor:
    """Hash the rows that bundles compare, so that the rows can be dropped.

    Args:
        activations: Float tensor `(examples, ...)`, as in `bundle_entropy`.
        learning_rate: Float.
        batch_size: Integer.
        amplitude: Float.

    Returns:
        Int64 tensor `(examples, 3)`: two independent hashes, 128 bits
        together, and whether the example is finite.
    """
    step = _step(learning_rate, batch_size, amplitude)
    return _keys(flatten(activations), step)


def _step(learning_rate, batch_size, amplitude) -> tuple[tf.Tensor, ...]:
    """Return the arguments of `buckets` after the activations."""
    return (
        tf.cast(learning_rate, tf.float32),
        reciprocal(batch_size),
        tf.cast(amplitude, tf.float32),
    )


# Arguments of the compiled functions: activations and step; labels, number
# of classes and epsilon.
_ROWS = tf.TensorSpec([None, None], tf.float32)
_STEP = (tf.TensorSpec([], tf.float32),) * 3
_CLASSES = [
    tf.TensorSpec([None], tf.int64),
    tf.TensorSpec([], tf.int64),
    tf.TensorSpec([], tf.float64),
]


@tf.function(input_signature=[tf.TensorSpec([None, 3], tf.int64), *_CLASSES])
def bundle_entropy_of_keys(keys, labels, num_classes, epsilon):
    """Compute `bundle_entropy` from the hashes alone.

    Two different examples share a bundle by accident with a probability of
    `2**-128`.

    Args:
        keys: Int64 tensor `(examples, 3)` from `keys`.
        labels: Int64 tensor `(examples,)`.
        num_classes: Int64 scalar.
        epsilon: Float64 scalar.

    Returns:
        Tuple `(ids, count, entropy)` as in `bundle_entropy`.
    """
    second = keys[:, 1]
    return _grouped(
        keys[:, 0],
        tf.not_equal(keys[:, 2], 0),
        lambda a, b: tf.equal(tf.gather(second, a), tf.gather(second, b)),
        labels,
        num_classes,
        epsilon,
    )


def buckets(activations, learning_rate, inverse_batch_size, amplitude):
    """Apply the published step to weights of the given amplitude.

    Three float32 operations, each rounded, in this order.

    Args:
        activations: Float32 tensor.
        learning_rate: Float32 scalar tensor.
        inverse_batch_size: Float32 scalar tensor.
        amplitude: Float32 scalar tensor.

    Returns:
        Float32 tensor of the shape of `activations`. Zero has one sign, and
        subnormal numbers are zero on every device.
    """
    # An ordinary product of products would be reassociated by Grappler.
    steps = tf.math.multiply_no_nan(
        activations * learning_rate, inverse_batch_size
    )
    weights = amplitude - steps
    return tf.cond(
        amplitude < SMALL, lambda: _canonical(weights), lambda: weights
    )


def _canonical(weights):
    return tf.where(
        tf.abs(weights) < SMALLEST_NORMAL, tf.zeros_like(weights), weights
    )


@tf.function(input_signature=[_ROWS, _STEP, *_CLASSES])
def _bundle_entropy(activations, step, labels, num_classes, epsilon):
    hashes = _hashes(activations, step, salts=(None,))

    def same(first, second):
        def piece(start, stop):
            one = tf.gather(activations, first[start:stop])
            other = tf.gather(activations, second[start:stop])
            equal = tf.equal(buckets(one, *step), buckets(other, *step))
            return tf.reduce_all(equal, axis=1)

        return _in_pieces(piece, tf.size(first), activations, tf.bool, [None])

    return _grouped(
        hashes[:, 0],
        tf.not_equal(hashes[:, 1], 0),
        same,
        labels,
        num_classes,
        epsilon,
    )


@tf.function(input_signature=[_ROWS, _STEP])
def _keys(activations, step):
    return _hashes(activations, step, salts=(None, SALT))


def _hashes(activations, step, salts):
    """Hash every row of buckets with each salt; the last column: finite."""

    def piece(start, stop):
        rows = buckets(activations[start:stop], *step)
        finite = _finite(rows)
        columns = [_fingerprint(rows, salt) for salt in salts]
        return tf.stack([*columns, tf.cast(finite, tf.int64)], axis=1)

    shape = [None, len(salts) + 1]
    number = tf.shape(activations)[0]
    return _in_pieces(piece, number, activations, tf.int64, shape)


def _finite(rows):
    # One sum is faster than a test of each number, but may overflow.
    finite = tf.math.is_finite(tf.reduce_sum(rows, axis=1))
    return tf.cond(
        tf.reduce_all(finite),
        lambda: finite,
        lambda: tf.reduce_all(tf.math.is_finite(rows), axis=1),
    )


def _fingerprint(rows, salt):
    if salt is not None:
        first = tf.fill([tf.shape(rows)[0], 1], tf.constant(salt, tf.float32))
        rows = tf.concat([first, rows], axis=1)
    return tf.bitcast(tf.fingerprint(tf.bitcast(rows, tf.uint8)), tf.int64)


def _in_pieces(
    function: Callable, number, activations, dtype, shape
) -> tf.Tensor:
    """Concatenate `function(start, stop)` over pieces of `range(number)`."""
    size = tf.maximum(PIECE // tf.shape(activations)[1], 1)
    pieces = tf.maximum((number + size - 1) // size, 1)
    results = tf.TensorArray(
        dtype, pieces, infer_shape=False, element_shape=shape
    )

    def body(index, results):
        start = index * size
        piece = function(start, tf.minimum(start + size, number))
        return index + 1, results.write(index, piece)

    _, results = tf.while_loop(
        lambda index, results: index < pieces,
        body,
        (0, results),
        parallel_iterations=2,
    )
    return tf.ensure_shape(results.concat(), shape)


def _grouped(fingerprints, finite, same, labels, num_classes, epsilon):
    rows = tf.cast(tf.where(finite)[:, 0], tf.int32)
    ids, count = partition(rows, fingerprints, same)
    entropy = _entropy(ids, count, labels, num_classes, epsilon)
    return ids, count, tf.where(tf.reduce_all(finite), entropy, np.nan)


def _entropy(ids, count, labels, num_classes, epsilon):
    # Counts only the pairs of bundle and class that occur: there may be as
    # many bundles as examples, and many classes.
    codes = tf.cast(ids, tf.int64) * num_classes + labels
    pairs, _, members = tf.unique_with_counts(codes)
    owners = tf.cast(pairs // num_classes, tf.int32)
    members = tf.cast(members, tf.float64)
    sizes = tf.math.unsorted_segment_sum(members, owners, count + 1)
    fractions = members / tf.gather(sizes, owners)
    mixed = tf.math.unsorted_segment_sum(
        -fractions * tf.math.log(fractions + epsilon), owners, count + 1
    )
    total = tf.reduce_sum(tf.maximum(mixed, 0.0) * sizes)
    return tf.cast(total / tf.cast(tf.size(ids), tf.float64), tf.float32)
