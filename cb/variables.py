"""Reading and writing Keras variables, one copy or one per replica."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


def read(variable: keras.Variable | tf.Tensor) -> np.ndarray:
    """Return the value of a variable, of the first replica if it has many."""
    return tf.convert_to_tensor(getattr(variable, "value", variable)).numpy()


def read_replicas(variable: keras.Variable) -> list[np.ndarray]:
    """Return the value on each replica; one array where all are equal."""
    values = [copy.numpy() for copy in _copies(variable)]
    if all(_same(values[0], value) for value in values[1:]):
        return values[:1]
    return values


def write_replicas(
    variable: keras.Variable, values: Sequence[np.ndarray]
) -> None:
    """Assign one value to all replicas, or one to each.

    Args:
        variable: Keras variable.
        values: Arrays of its shape, one, or as many as there are replicas.

    Raises:
        ValueError: If the number of values is neither.
    """
    copies = _copies(variable)
    if len(values) not in (1, len(copies)):
        raise ValueError(
            f"Argument `values` must hold 1 or {len(copies)} arrays for "
            f"{variable.path!r}. Received: {len(values)}"
        )
    for number, copy in enumerate(copies):
        copy.assign(values[number % len(values)])


def scatter(variable: keras.Variable, places, values) -> None:
    """Assign some elements of a variable, on all replicas, in place.

    Args:
        variable: Keras variable.
        places: Integer tensor `(n, rank)`, where the elements are.
        values: Tensor `(n,)`, cast to the variable's type.
    """
    for copy in _copies(variable):
        copy.scatter_nd_update(places, tf.cast(values, copy.dtype))


def average_replicas(variables: Sequence[keras.Variable]) -> None:
    """Give every replica the mean of a variable, where they differ.

    Batch-norm statistics are kept by each replica for itself; a model that
    is evaluated or saved must have one of them all.
    """
    for variable in variables:
        values = read_replicas(variable)
        if len(values) > 1 and np.issubdtype(values[0].dtype, np.floating):
            mean = np.mean(values, axis=0, dtype=np.float64)
            write_replicas(variable, [mean.astype(values[0].dtype)])


def _copies(variable: keras.Variable) -> list[tf.Variable]:
    value = variable.value
    if isinstance(value, tf.distribute.DistributedValues):
        return list(value.values)
    return [value]


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    return first.tobytes() == second.tobytes()
