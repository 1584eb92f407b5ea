"""Reads and writes Keras variables, one copy or one per replica."""

import hashlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from cb.distribute import collectives
from cb.errors import InputError


def read(variable: keras.Variable | tf.Tensor) -> np.ndarray:
    """Return the value of a variable, that of the first replica."""
    return tf.convert_to_tensor(getattr(variable, "value", variable)).numpy()


def read_replicas(
    variables: Sequence[keras.Variable],
) -> list[list[np.ndarray]]:
    """Return the values on all replicas, including other workers.

    Args:
        variables: Keras variables, the same on all workers.

    Returns:
        List of lists of arrays, one list per variable: a single array where
        all replicas are equal, else one per replica.
    """
    if not variables:
        return []
    held = [[copy.numpy() for copy in _copies(v)] for v in variables]
    strategy = _strategy(variables)
    digests = [_digest(values) for values in held]
    everyone = collectives.all_gather(strategy, b"".join(digests))
    size = len(digests[0])
    differing = [
        number
        for number in range(len(held))
        if len({d[number * size : (number + 1) * size] for d in everyone}) > 1
    ]
    # Few variables differ, so little is sent.
    parts = collectives.all_gather(
        strategy,
        b"".join(v.tobytes() for number in differing for v in held[number]),
    )
    for number, values in _regrouped(differing, held, parts):
        held[number] = values
    return [_merged(values) for values in held]


def _regrouped(differing, held, parts):
    """Split the bytes of all workers into arrays, one list per variable."""
    start = 0
    for number in differing:
        size, dtype = held[number][0].nbytes, held[number][0].dtype
        stop = start + size * len(held[number])
        yield (
            number,
            [
                np.frombuffer(part[first : first + size], dtype).reshape(
                    held[number][0].shape
                )
                for part in parts
                for first in range(start, stop, size)
            ],
        )
        start = stop


def _digest(values: Sequence[np.ndarray]) -> bytes:
    hashed = hashlib.blake2b(digest_size=16)
    for value in values:
        hashed.update(value.tobytes())
    return hashed.digest()


def _merged(values: list[np.ndarray]) -> list[np.ndarray]:
    if all(_same(values[0], value) for value in values[1:]):
        return values[:1]
    return values


def write_replicas(
    variable: keras.Variable, values: Sequence[np.ndarray]
) -> None:
    """Assign one value to all replicas, or one value to each.

    Args:
        variable: Keras variable.
        values: Arrays of its shape, one or as many as replicas.

    Raises:
        InputError: If the number of values is neither.
    """
    copies = _copies(variable)
    index, workers = collectives.rank_and_size(_strategy([variable]))
    if len(values) not in (1, len(copies) * workers):
        raise InputError(
            f"Variable {variable.path!r} was saved with different values on "
            f"{len(values)} replicas. Expected as many workers and devices. "
            f"Received: {len(copies) * workers}"
        )
    for number, copy in enumerate(copies):
        copy.assign(values[(index * len(copies) + number) % len(values)])


def scatter(variable: keras.Variable, indices, values) -> None:
    """Assign some elements of a variable, on all replicas.

    Args:
        variable: Keras variable.
        indices: Integer tensor `(n, rank)`, of the elements.
        values: Tensor `(n,)`, cast to the variable's type.
    """
    for copy in _copies(variable):
        # Not in place: after an update in place TensorFlow copies the variable
        # at every read, in every step from then on.
        values = tf.cast(values, copy.dtype)
        copy.assign(tf.tensor_scatter_nd_update(copy, indices, values))


def average_replicas(variables: Sequence[keras.Variable]) -> None:
    """Assign the mean over the replicas to each variable that differs.

    Each replica updates its own batch-norm statistics, but a model that is
    evaluated or saved must have one value.

    Args:
        variables: Keras variables, the same on all workers.
    """
    for variable, values in zip(
        variables, read_replicas(variables), strict=True
    ):
        if len(values) > 1 and np.issubdtype(values[0].dtype, np.floating):
            mean = np.mean(values, axis=0, dtype=np.float64)
            write_replicas(variable, [mean.astype(values[0].dtype)])


def _strategy(variables: Sequence[keras.Variable]) -> tf.distribute.Strategy:
    for variable in variables:
        if isinstance(variable.value, tf.distribute.DistributedValues):
            return variable.value.distribute_strategy
    return tf.distribute.get_strategy()


def _copies(variable: keras.Variable) -> list[tf.Variable]:
    value = variable.value
    if isinstance(value, tf.distribute.DistributedValues):
        return list(value.values)
    return [value]


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    return first.tobytes() == second.tobytes()
