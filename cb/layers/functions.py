"""TensorFlow functions of objects, each counted by itself."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def own_function(function: Callable, **options: Any) -> Any:
    """Return a `tf.function` that no other object shares.

    TensorFlow counts how often a function is traced by its code, so that it
    warns of retracing where each of several objects is traced once.

    Args:
        function: Callable, such as a method of the object.
        **options: As `tf.function` takes them.
    """
    return tf.function(functools.partial(function), **options)
