"""Writes masks, weights and optimizer slots of masked kernels."""

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.reallocation.kernel_writer import KernelWriter
from cb.layers.functions import own_function
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
        self._write = own_function(self._assign_changes, autograph=False)

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
        del before
        self._write(_joined(after), values and _joined(values))

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

    def _assign_changes(self, masks, values) -> None:
        """Write masks, and weights and slots where they change."""
        masks = self._parted(masks)
        given = [None] * len(masks) if values is None else self._parted(values)
        for kernel, owned, mask, value in zip(
            self.kernels, self._slots, masks, given, strict=True
        ):
            stays = tf.equal(mask, tf.not_equal(kernel.mask, 0))
            if value is not None:
                _assign(kernel.weight, mask, value, 0.0)
            elif self._zeroes:
                kept = tf.logical_and(stays, mask) if self._drifts else stays
                _assign(kernel.weight, kept, kernel.weight, 0.0)
            if self._resets:
                _reset(kernel, owned, stays)
            kernel.mask.assign(tf.cast(mask, kernel.mask.dtype))

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
