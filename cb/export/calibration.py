"""Examples of real data, for the ranges of int8 activations."""

import itertools
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import numpy as np

from cb.errors import InputError
from cb.errors import argument_error
from cb.export.checking import fits

# Fewer say nothing of the range of an activation; more hardly widen it.
LEAST, MOST = 8, 1024
_EXPECTED = (
    "an array of examples, a list, generator or `tf.data.Dataset` of batches "
    "of them, with or without labels, or a function that returns one"
)


def examples_from(
    representative: Any, shape, dtype: str, name: str = "representative"
) -> np.ndarray:
    """Collect the examples that a model is calibrated with.

    Args:
        representative: Array `(examples, ...)`, or an iterable of batches, or
            a function that returns one. A batch is an array; of a tuple, the
            first entry is, the others are labels and weights. At most 1024
            examples are read, so that a data set may repeat itself.
        shape: Tuple, that of the model's input, with the batch; `None` where
            it varies.
        dtype: String, the type of the model's input.
        name: String, that of the argument, for messages.

    Returns:
        Array `(examples, ...)` of that type.

    Raises:
        InputError: If there are fewer than 8 examples, or their shapes differ
            from that of the input or among each other, or a value is not
            finite.

    Example:

    >>> examples_from(lambda: [(images, labels)], (None, 28, 28), "float32")
    """
    if callable(representative) and not isinstance(representative, Iterable):
        representative = representative()
    found: list[np.ndarray] = []
    for batch in _batches(representative, name):
        features = _features(batch, len(shape))
        found.append(_checked(features, shape, dtype, name))
        _require_one_shape(found, name)
        if sum(map(len, found)) >= MOST:
            break
    number = sum(map(len, found))
    if number < LEAST:
        raise InputError(
            f"Argument `{name}` must hold at least {LEAST} examples. "
            f"Received: {number} in {len(found)} batches"
        )
    return np.concatenate(found)[:MOST]


def _batches(representative, name) -> Iterator[Any]:
    """List batches; those of an array are one."""
    if hasattr(representative, "shape"):
        return iter([representative])
    try:
        return itertools.islice(representative, MOST)
    except TypeError as error:
        kind = type(representative).__name__
        raise argument_error(name, _EXPECTED, kind) from error


def _features(batch, rank: int) -> Any:
    """Leave out labels and weights, as Keras finds them in a batch."""
    if isinstance(batch, dict) and len(batch) == 1:
        (batch,) = batch.values()
    if isinstance(batch, tuple) and batch:
        return batch[0]
    if isinstance(batch, list) and batch:
        # The tensors of a batch as LiteRT takes them, or a list of examples.
        if np.ndim(batch[0]) == rank:
            return batch[0]
    return batch


def _checked(batch, shape, dtype, name) -> np.ndarray:
    try:
        array = np.asarray(batch)
        same_kind = array.dtype.kind in "biuf"
    except ValueError:
        same_kind = False
    if not same_kind:
        kind = type(batch).__name__
        raise argument_error(name, _EXPECTED, kind)
    if not fits(array.shape, (None, *shape[1:])):
        expected = ("examples", *shape[1:])
        raise InputError(
            f"Argument `{name}` must hold batches of shape "
            f"({', '.join(map(str, expected))}). Received: a batch of shape "
            f"{array.shape}"
        )
    if not np.isfinite(array).all():
        wrong = np.argwhere(~np.isfinite(array))[0]
        raise InputError(
            f"Argument `{name}` must hold finite values. Received: "
            f"{array[tuple(wrong)]} in example {wrong[0]} of a batch"
        )
    return array.astype(dtype)


def _require_one_shape(batches: list[np.ndarray], name: str) -> None:
    first, last = batches[0].shape[1:], batches[-1].shape[1:]
    if first != last:
        raise InputError(
            f"Argument `{name}` must hold examples of one shape. "
            f"Received: {first} and {last}"
        )
