"""A fixed set of examples to measure on."""

import keras
import numpy as np
import tensorflow as tf

from cb.errors import InputError
from cb.seeds import fold_in
from cb.seeds import generator

# A data set is read to this many times the number of examples asked for.
READ_AHEAD = 16


def sample(data, num_samples: int, seed: int):
    """Draw examples without replacement, the same for the same seed.

    Args:
        data: Tuple `(x, labels)` of arrays, or a batched `tf.data.Dataset`
            of such, in a deterministic order and without augmentation. Of a
            data set only the first `16 * num_samples` examples are drawn
            from.
        num_samples: Integer.
        seed: Integer.

    Returns:
        Tuple `(x, labels)`: arrays of `num_samples` examples in the
        structure of the data, and an integer array `(num_samples,)`. Labels
        that are one-hot become integers.

    Raises:
        InputError: If there are too few examples or no labels.
    """
    if isinstance(data, tf.data.Dataset):
        x, labels = _first(data, READ_AHEAD * num_samples, num_samples, seed)
    else:
        x, labels = _chosen(data, num_samples, seed)
    if labels.ndim == 2:
        one_hot = labels.shape[1] > 1
        labels = labels.argmax(axis=1) if one_hot else labels[:, 0]
    return x, labels


def _chosen(data, num_samples, seed):
    if not isinstance(data, tuple | list) or len(data) < 2:
        raise InputError(
            "Argument `data` must be a tuple (x, labels) or a batched "
            f"tf.data.Dataset. Received: {type(data).__name__}"
        )
    x, labels = data[0], np.asarray(data[1])
    _check_number(num_samples, len(labels))
    chosen = np.sort(
        generator(seed, "bundles").choice(
            len(labels), num_samples, replace=False
        )
    )
    return keras.tree.map_structure(
        lambda array: np.asarray(array)[chosen], x
    ), labels[chosen]


def _first(dataset, read_ahead, num_samples, seed):
    shuffled = (
        dataset.unbatch()
        .take(read_ahead)
        .shuffle(read_ahead, seed=fold_in(seed, "bundles") % 2**31)
        .batch(num_samples)
    )
    batch = next(iter(shuffled), None)
    if not isinstance(batch, tuple) or len(batch) < 2:
        raise InputError(
            "Argument `data` must yield batches (x, labels). Received: "
            f"{dataset.element_spec}"
        )
    x, labels = keras.tree.map_structure(lambda t: t.numpy(), batch[:2])
    _check_number(num_samples, len(labels))
    return x, labels


def _check_number(num_samples, available):
    if not isinstance(num_samples, int) or not 1 <= num_samples <= available:
        raise InputError(
            "Argument `num_samples` must be a positive integer of at most "
            f"{available}, the number of examples. "
            f"Received: num_samples={num_samples!r}"
        )
