"""Writes masks, weights and optimizer slots of masked kernels."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.reallocation.kernel_writer import KernelWriter
from cb.distribute.variables import scatter
from cb.layers.masked import Masked
from cb.sparsity.reallocation.base import Algorithm


class MaskedWriter(KernelWriter):
    """Writes to masked kernels.

    The changes of an event are written by one graph call with few arguments:
    called from Python one by one, the many small operations of a deep model
    cost more than the work itself.

    Args:
        kernels: As in `KernelWriter`.
        slots: As in `KernelWriter`.
        algorithm: `Algorithm`; its declarations decide what is written.
    """

    kind = Masked

    def __init__(self, kernels, slots, algorithm: Algorithm):
        super().__init__(kernels, slots)
        self._zeroes = algorithm.zero_inactive
        # Where all weights train, the slots of inactive ones are up to date.
        self._resets = (
            algorithm.reset_momentum and not algorithm.straight_through
        )
        self._drifts = algorithm.zero_inactive and not (
            self._resets or algorithm.straight_through
        )
        self._write_weights = tf.function(self._assign_weights, autograph=False)
        self._write_places = tf.function(
            self._scatter,
            input_signature=[
                tf.TensorSpec((len(self.kernels),), tf.int64),
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((None,), tf.bool),
                tf.TensorSpec((None,), tf.float32),
            ],
            autograph=False,
        )

    def open(self):
        """Fill masks with ones; weights keep their values."""
        for kernel in self.kernels:
            kernel.mask.assign(tf.ones(kernel.mask.shape, kernel.mask.dtype))

    def write_all(self, masks, fresh):
        """Write masks; zero or reset what they make inactive."""
        for kernel, owned, mask in zip(
            self.kernels, self._slots, masks, strict=True
        ):
            kept = mask
            if not fresh:
                kept = tf.logical_and(mask, tf.not_equal(kernel.mask, 0))
            if self._zeroes:
                _assign(kernel.weight, kept, kernel.weight, 0.0)
            if self._resets:
                _reset(kernel, owned, kept)
            kernel.mask.assign(tf.cast(mask, kernel.mask.dtype))

    def settle(self, before, after, written):
        """Zero weights and reset slots where masks are inactive."""
        del before, written
        self.write_all(after, fresh=False)

    def write_changes(self, before, after, values=None):
        """Write all changes by one call of a graph."""
        if values is not None or self._drifts:
            self._write_weights(_joined(after), values and _joined(values))
        places = [
            np.flatnonzero(old ^ new)
            for old, new in zip(before, after, strict=True)
        ]
        counts = [found.size for found in places]
        if not any(counts):
            return
        active = [
            mask.reshape(-1)[at] for mask, at in zip(after, places, strict=True)
        ]
        weights = [np.zeros(count, np.float32) for count in counts]
        if values is not None:
            for number, (at, on) in enumerate(zip(places, active, strict=True)):
                weights[number][on] = values[number].reshape(-1)[at][on]
        self._write_places(
            tf.constant(counts, tf.int64),
            _joined(places),
            _joined(active),
            _joined(weights),
        )

    def write_trained(
        self, variables: Sequence[keras.Variable], sets: Sequence[np.ndarray]
    ) -> None:
        """Write the sets of weights that train; reset slots of the others.

        Args:
            variables: List of variables of the shapes of the kernels.
            sets: Boolean arrays of the same shapes.
        """
        for kernel, owned, variable, trained in zip(
            self.kernels, self._slots, variables, sets, strict=True
        ):
            _reset(kernel, owned, trained)
            variable.assign(tf.cast(trained, variable.dtype))

    def _assign_weights(self, masks, values) -> None:
        masks = self._parted(masks)
        given: list[Any] = [kernel.weight for kernel in self.kernels]
        if values is not None:
            given = self._parted(values)
        for kernel, mask, value in zip(self.kernels, masks, given, strict=True):
            _assign(kernel.weight, mask, value, 0.0)

    def _scatter(self, counts, places, active, weights) -> None:
        """Write masks, weights and slots at some places of every kernel."""
        parts = [
            tf.split(column, counts, num=len(self.kernels))
            for column in (places, active, weights)
        ]
        for kernel, owned, at, on, weight in zip(
            self.kernels, self._slots, *parts, strict=True
        ):
            shape = np.array(kernel.mask.shape)
            # Not `tf.unravel_index`, which refuses an empty list of places.
            strides = shape[::-1].cumprod()[::-1] // shape
            indices = at[:, None] // strides % shape
            if self._zeroes:
                scatter(kernel.weight, indices, weight)
            for slot in owned if self._resets else ():
                initial = weight
                if slot.initial is not None:
                    initial = tf.fill(tf.shape(on), slot.initial)
                scatter(slot.variable, indices, initial)
            scatter(kernel.mask, indices, on)

    def _parted(self, joined: tf.Tensor) -> list[tf.Tensor]:
        """Cut one vector into tensors of the shapes of the kernels."""
        shapes = [tuple(kernel.mask.shape) for kernel in self.kernels]
        parts = tf.split(joined, [math.prod(shape) for shape in shapes])
        return [
            tf.reshape(part, shape)
            for part, shape in zip(parts, shapes, strict=True)
        ]


def _joined(arrays: Sequence[np.ndarray]) -> tf.Tensor:
    return tf.constant(np.concatenate([array.reshape(-1) for array in arrays]))


def _reset(kernel, owned, kept) -> None:
    for slot in owned:
        initial = kernel.weight if slot.initial is None else slot.initial
        _assign(slot.variable, kept, slot.variable, initial)


def _assign(variable, where, value, otherwise) -> None:
    # Not a product: that would leave -0.0 and keep infinities.
    value, otherwise = (
        tf.cast(tf.convert_to_tensor(v), variable.dtype)
        for v in (value, otherwise)
    )
    variable.assign(tf.where(where, value, otherwise))
