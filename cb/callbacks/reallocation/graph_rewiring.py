"""Deep rewiring after every step, which reads and writes active weights only.

Draws and decisions are those of the algorithm, in NumPy; what grows with the
kernels is done by two calls of a graph.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import tensorflow as tf

from cb.callbacks.reallocation.graph_selection import Moved
from cb.callbacks.slots import Slot
from cb.layers.masked import MaskedKernel
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import Masks
from cb.sparsity.reallocation.base import State
from cb.sparsity.reallocation.deep_rewiring import DeepRewiring


class GraphRewiring:
    """Lets `DeepRewiring` act on masked kernels, each weight for itself.

    Args:
        algorithm: `DeepRewiring`.
        kernels: List of `MaskedKernel`.
        slots: List of lists of `Slot`, those of each kernel.
        state: Dict of name to array, that of the algorithm.
    """

    def __init__(
        self,
        algorithm: DeepRewiring,
        kernels: Sequence[MaskedKernel],
        slots: Sequence[Sequence[Slot]],
        state: State,
    ):
        self._algorithm = algorithm
        self._kernels = kernels
        self._slots = slots if algorithm.reset_momentum else [[]] * len(kernels)
        # Never changed: as many as were dropped are grown.
        self._counts = [state[f"position/{k.key}"].size for k in kernels]
        active = (sum(self._counts),)
        self._read = tf.function(self._gather, autograph=False)
        self._write = tf.function(
            self._assign,
            # The number of places is another after every step.
            input_signature=[
                tf.TensorSpec(active, tf.int64),
                tf.TensorSpec(active, tf.float32),
                tf.TensorSpec((len(kernels),), tf.int64),
                tf.TensorSpec((None,), tf.int64),
            ],
            autograph=False,
        )

    def __call__(
        self, masks: Masks, state: State, event: Event, seed: int
    ) -> tuple[Masks, State, list[Moved]]:
        """Let an event happen.

        Args:
            masks: Dict of layer key to boolean array.
            state: Dict of name to array.
            event: `Event`.
            seed: Integer, the seed of the event.

        Returns:
            Tuple of the new masks, the new state and what has changed.
        """
        keys = [kernel.key for kernel in self._kernels]
        before = [state[f"position/{key}"] for key in keys]
        weights = self._read(tf.constant(np.concatenate(before))).numpy()
        parts = np.split(weights, [*accumulate(self._counts)][:-1])
        active, masks, state = self._algorithm.move_active(
            dict(zip(keys, parts, strict=True)),
            masks,
            state,
            event=event,
            seed=seed,
        )
        after = [state[f"position/{key}"] for key in keys]
        moved = [old != new for old, new in zip(before, after, strict=True)]
        numbers = [int(np.count_nonzero(one)) for one in moved]
        places = [
            one[at]
            for old, new, at in zip(before, after, moved, strict=True)
            for one in (old, new)
        ]
        self._write(
            tf.constant(np.concatenate(after)),
            tf.constant(np.concatenate([active[key] for key in keys])),
            tf.constant([2 * number for number in numbers], tf.int64),
            tf.constant(np.concatenate(places)),
        )
        changes = [
            Moved(kernel, number, number, count / masks[kernel.key].size)
            for kernel, number, count in zip(
                self._kernels, numbers, self._counts, strict=True
            )
        ]
        return masks, state, changes

    def _gather(self, positions) -> tf.Tensor:
        """Return the active weights of all kernels, one after the other."""
        found = [
            tf.gather(_flat(kernel.weight), at)
            for kernel, at in zip(
                self._kernels, tf.split(positions, self._counts), strict=True
            )
        ]
        return tf.concat([tf.cast(one, tf.float32) for one in found], 0)

    def _assign(self, positions, weights, numbers, places) -> None:
        """Write all kernels and masks, and slots where connections moved."""
        columns = (
            tf.split(positions, self._counts),
            tf.split(weights, self._counts),
            tf.split(places, numbers, num=len(self._kernels)),
        )
        for kernel, owned, at, values, moved in zip(
            self._kernels, self._slots, *columns, strict=True
        ):
            weight = tf.zeros_like(_flat(kernel.weight))
            _assign(kernel.weight, weight, at, values)
            # First those that were dropped, then as many that have grown.
            number = tf.size(moved) // 2
            active = tf.repeat([0.0, 1.0], [number, number])
            _assign(kernel.mask, _flat(kernel.mask), moved, active)
            for slot in owned:
                values = tf.fill(tf.shape(moved), slot.initial or 0.0)
                _assign(slot.variable, _flat(slot.variable), moved, values)


def _flat(variable) -> tf.Tensor:
    return tf.reshape(tf.convert_to_tensor(variable.value), [-1])


def _assign(variable, flat, places, values) -> None:
    """Assign a flat tensor with other values at some places."""
    # Not in place: from then on TensorFlow would copy it at every read.
    values = tf.cast(values, flat.dtype)
    flat = tf.tensor_scatter_nd_update(flat, places[:, None], values)
    variable.assign(tf.reshape(flat, variable.shape))
