"""What the `fit` that calls a callback trains on, and with which callbacks."""

import inspect
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

# That of Keras where its data do not tell.
DEFAULT_BATCH_SIZE = 32


class CurrentFit(NamedTuple):
    """What Keras does not tell callbacks.

    Attributes:
        callbacks: List of the callbacks, in the order of their calls.
        batch_spec: Nested structure of `tf.TypeSpec`, a batch of one replica.
        batch_size: Integer, examples in a batch of all replicas.
        class_weight: Dict of class to weight, or `None`.
    """

    callbacks: Sequence[keras.callbacks.Callback]
    batch_spec: Any
    batch_size: int
    class_weight: Mapping[int, float] | None


def current_fit() -> CurrentFit | None:
    """Describe the innermost `fit` below which this is called.

    Returns:
        `CurrentFit`, or `None` in a training loop of the user's own.
    """
    # Not `keras.Model.fit`, which tools that log trainings replace: the one
    # that it was, and that theirs calls, is a base's.
    codes = [
        inspect.unwrap(vars(base)["fit"]).__code__
        for base in keras.Model.__mro__
        if "fit" in vars(base) and base is not keras.Model
    ]
    frame = inspect.currentframe()
    while frame is not None and frame.f_code not in codes:
        frame = frame.f_back
    if frame is None:
        return None
    found = frame.f_locals
    iterator = found["epoch_iterator"]
    spec = keras.tree.map_structure(
        lambda one: getattr(one, "_value_specs", [one])[0],
        iterator._distributed_dataset.element_spec,
    )
    size = _batch_size(iterator.data_adapter)
    callbacks = found["callbacks"].callbacks
    return CurrentFit(callbacks, spec, size, found["class_weight"])


def _batch_size(adapter) -> int:
    """Return the batch size of the data that a Keras adapter adapts."""
    if adapter.batch_size is not None:
        return adapter.batch_size
    dataset = getattr(adapter, "_dataset", None)
    while isinstance(dataset, tf.data.Dataset):
        # Not in the shapes of its elements if the last batch is smaller.
        if hasattr(dataset, "_batch_size"):
            return int(dataset._batch_size)
        dataset = next(iter(dataset._inputs()), None)
    return DEFAULT_BATCH_SIZE
