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
    if strategy.num_replicas_in_sync == 1:
        return held
    digests = b"".join(_digest(values) for values in held)
    everyone = collectives.all_gather(strategy, digests)
    table = np.array([np.frombuffer(d, np.uint8) for d in everyone])
    table = table.reshape(len(everyone), len(held), -1)
    differing = np.flatnonzero((table != table[0]).any(axis=(0, 2)))
    # Few variables differ, so little is sent.
    parts = collectives.all_gather(
        strategy, b"".join(_joined(held[number]) for number in differing)
    )
    start = 0
    for number in differing:
        own = np.stack(held[number])
        stop = start + own.nbytes
        held[number] = []
        for part in parts:
            values = np.frombuffer(part[start:stop], own.dtype)
            held[number] += map(np.asarray, values.reshape(own.shape))
        start = stop
    return [
        values if len({value.tobytes() for value in values}) > 1 else values[:1]
        for values in held
    ]


def _digest(values: Sequence[np.ndarray]) -> bytes:
    return hashlib.blake2b(_joined(values), digest_size=16).digest()


def _joined(values: Sequence[np.ndarray]) -> bytes:
    return b"".join(value.tobytes() for value in values)


def write_replicas(
    variable: keras.Variable,
    values: Sequence[np.ndarray],
    averaged: bool = False,
) -> None:
    """Assign one value to all replicas, or one value to each.

    Args:
        variable: Keras variable.
        values: Arrays of its shape, one or as many as replicas.
        averaged: Boolean, whether numbers of other replicas, such as their
            statistics of normalizations, are averaged, as at the end of an
            epoch.

    Raises:
        InputError: If the number of values is neither.
    """
    copies = _copies(variable)
    index, workers = collectives.rank_and_size(_strategy([variable]))
    expected = (1, len(copies) * workers)
    if averaged and len(values) not in expected:
        if np.issubdtype(values[0].dtype, np.floating):
            values = [_mean(values)]
    if len(values) not in expected:
        raise InputError(
            f"Variable {variable.path!r} was saved with different values on "
            f"{len(values)} replicas. Expected as many workers and devices. "
            f"Received: {len(copies) * workers}"
        )
    for number, copy in enumerate(copies):
        copy.assign(values[(index * len(copies) + number) % len(values)])


def average_replicas(variables: Sequence[keras.Variable]) -> None:
    """Assign the mean over the replicas to each variable that differs.

    Each replica updates its own batch-norm statistics, but a model that is
    evaluated or saved must have one value.

    Args:
        variables: Keras variables, the same on all workers.
    """
    replicas = read_replicas(variables)
    for variable, values in zip(variables, replicas, strict=True):
        if len(values) > 1 and np.issubdtype(values[0].dtype, np.floating):
            write_replicas(variable, [_mean(values)])


def _mean(values: Sequence[np.ndarray]) -> np.ndarray:
    mean = np.mean(values, axis=0, dtype=np.float64)
    return mean.astype(values[0].dtype)


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
