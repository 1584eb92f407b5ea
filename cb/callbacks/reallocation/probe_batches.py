"""Probe batches by number, from whatever `fit` takes."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras.src.trainers.data_adapters import get_data_adapter
from keras.src.trainers.data_adapters.tf_dataset_adapter import (
    make_class_weight_map_fn,
)

from cb.callbacks.reallocation.current_fit import DEFAULT_BATCH_SIZE
from cb.callbacks.reallocation.current_fit import CurrentFit
from cb.errors import InputError

EXPECTED = (
    "data that can be read again: arrays, `(x, y)`, a "
    "`keras.utils.PyDataset`, a `tf.data.Dataset` in a deterministic order, "
    "or a callable from the number of a batch to a batch"
)


class Batches:
    """Returns batches of a data set by number, repeating it without end.

    Args:
        dataset: Batched `tf.data.Dataset` in a deterministic order.
    """

    def __init__(self, dataset: tf.data.Dataset):
        self._dataset = dataset.repeat()
        self._iterator = iter(self._dataset)
        self._position = 0

    def __call__(self, index: int):
        if index < self._position:
            self._iterator = iter(self._dataset)
            self._position = 0
        for _ in range(index - self._position):
            self._next()
        self._position = index + 1
        return self._next()

    def _next(self):
        try:
            return next(self._iterator)
        except StopIteration:
            # It would end the epoch of `fit` without a word.
            raise InputError(
                "Argument `dataset` must have at least one batch, each time "
                "that it is read. Received a data set without any."
            ) from None


def check_probe_data(data: Any) -> None:
    """Refuse data without batches by number, such as a generator."""
    if hasattr(data, "__next__") or inspect.isgeneratorfunction(data):
        raise InputError(
            f"Argument `dataset` must be {EXPECTED}. For a generator, pass "
            "`tf.data.Dataset.from_generator(FUNCTION, output_signature=...)` "
            "with the function that makes it, in batches. "
            f"Received: dataset={data!r}"
        )


def probe_batches(
    data: Any, fit: CurrentFit | None, model: Any = None
) -> Callable:
    """Return probe batches by number.

    Data without batches, such as arrays, are cut into those of `fit`. Batches
    without sample weights get those of its `class_weight`.

    Args:
        data: Whatever `fit` takes and can be read again, `(x, y)` or
            `(x, y, sample_weight)` for arrays, or a callable.
        fit: `CurrentFit`, or `None` if it is not known.
        model: Keras model; a task of KerasHub makes numbers of texts.

    Returns:
        Callable from an integer to a batch.

    Raises:
        InputError: If the data are of no known kind.
    """
    batches = _batches(data, fit, model)
    if fit is None or not fit.class_weight:
        return batches
    weigh = make_class_weight_map_fn(fit.class_weight)

    def weighted(index: int):
        batch = batches(index)
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        return batch if weights is not None else weigh(x, tf.constant(y))

    return weighted


def _batches(data: Any, fit: CurrentFit | None, model: Any) -> Callable:
    if callable(data):
        return data
    if isinstance(data, keras.utils.PyDataset):
        return lambda index: data[index % (data.num_batches or index + 1)]
    size = DEFAULT_BATCH_SIZE if fit is None else fit.batch_size
    if not isinstance(data, tf.data.Dataset) and _preprocesses(model):
        # Also texts, which no adapter of Keras takes.
        given = keras.utils.unpack_x_y_sample_weight(data)
        given = tuple(part for part in given if part is not None)
        data = tf.data.Dataset.from_tensor_slices(given).batch(size)
    if not isinstance(data, tf.data.Dataset):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        try:
            adapter = get_data_adapter(x, y, weights, batch_size=size)
        except ValueError as error:
            raise InputError(
                f"Argument `dataset` must be {EXPECTED}. Received: a "
                f"{type(data).__name__}: {error}"
            ) from None
        data = adapter.get_tf_dataset()
    elif _preprocesses(model):
        data = data.map(lambda *batch: model.preprocess_samples(*batch))
    elif fit is not None and _rank(data.element_spec) + 1 == _rank(
        fit.batch_spec
    ):
        data = data.batch(size)
    return Batches(data)


def _preprocesses(model) -> bool:
    """Return whether `fit` makes numbers of texts, as KerasHub's tasks do."""
    return hasattr(model, "preprocess_samples")


def _rank(spec) -> int:
    """Return the rank of the first input, a negative number if unknown."""
    x, _, _ = keras.utils.unpack_x_y_sample_weight(spec)
    rank = keras.tree.flatten(x)[0].shape.rank
    return -2 if rank is None else rank
