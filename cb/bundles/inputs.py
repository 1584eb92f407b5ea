"""Checks and conversions of the arguments of the bundle functions."""

import numpy as np
import tensorflow as tf

from cb.errors import InputError
from cb.errors import argument_error


def check_labels(labels, examples: int | None, num_classes) -> tf.Tensor:
    """Return labels as an int64 vector, checked.

    Args:
        labels: Integers of shape `(examples,)` or `(examples, 1)`.
        examples: Integer, the expected number, or `None`.
        num_classes: Integer.

    Returns:
        Int64 tensor `(examples,)`.

    Raises:
        InputError: If they are not integers, too few or out of range.
    """
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if not labels.dtype.is_integer or labels.shape.rank != 1:
        raise InputError(
            "Argument `labels` must be integers of shape (examples,). "
            f"Received: {labels.dtype.name} of shape {labels.shape}"
        )
    if not labels.shape.is_compatible_with([examples]):
        raise InputError(
            f"Argument `labels` must hold one label for each of the "
            f"{examples} examples. Received: {labels.shape[0]} labels"
        )
    labels = tf.cast(labels, tf.int64)
    classes = tf.cast(num_classes, tf.int64)
    message = "Argument `labels` must be in [0, num_classes)."
    fits = tf.logical_and(labels >= 0, labels < classes)
    if tf.is_symbolic_tensor(fits):
        assertion = tf.Assert(tf.reduce_all(fits), [message])
        with tf.control_dependencies([assertion]):
            return tf.identity(labels)
    if not np.all(fits):
        wrong = labels.numpy()[~fits.numpy()][0]
        raise InputError(
            f"{message} Received: label {wrong}, num_classes={int(classes)}"
        )
    return labels


def check_step(learning_rate, batch_size) -> None:
    """Raise `InputError` if a number is known and not positive."""
    step = {"learning_rate": learning_rate, "batch_size": batch_size}
    for name, value in step.items():
        if not tf.is_symbolic_tensor(value) and not float(value) > 0.0:
            raise argument_error(name, "positive", float(value))


def flatten(activations) -> tf.Tensor:
    """Return activations as a float32 matrix `(examples, numbers)`."""
    activations = tf.convert_to_tensor(activations)
    if activations.shape.rank == 0 or 0 in activations.shape:
        raise InputError(
            "Argument `activations` must hold at least one example of at "
            f"least one number. Received: shape {activations.shape}"
        )
    activations = tf.cast(activations, tf.float32)
    shape = tf.shape(activations)
    # -1 cannot be the width, since a replica's part may be empty.
    return tf.reshape(activations, [shape[0], tf.reduce_prod(shape[1:])])


def reciprocal(batch_size) -> tf.Tensor:
    """Return `1 / batch_size` correctly rounded to float32."""
    # The kernels for float32 may approximate; rounding twice is harmless
    # for a quotient of integers below 2**24.
    return tf.cast(1.0 / tf.cast(batch_size, tf.float64), tf.float32)
