"""Events after every step that read and write active weights only.

Draws and decisions are those of the algorithm, in NumPy; all is written by
one call of a graph.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from cb.callbacks.reallocation.graph_events import Moved
from cb.callbacks.slots import Slot
from cb.kernels.operations import run
from cb.layers.functions import own_function
from cb.layers.masked import MaskedKernel
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import Masks
from cb.sparsity.reallocation.base import State


class GraphRewiring:
    """Lets an algorithm that has `move_active` act, each weight for itself.

    Args:
        algorithm: `Algorithm`.
        kernels: List of `MaskedKernel`.
        slots: List of lists of `Slot`, those of each kernel.
        positions: Dict of layer key to integer array, from the algorithm.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        kernels: Sequence[MaskedKernel],
        slots: Sequence[Sequence[Slot]],
        positions: Mapping[str, np.ndarray],
    ):
        self._algorithm = algorithm
        self._kernels = kernels
        self._keys = [kernel.key for kernel in kernels]
        self._slots = slots if algorithm.reset_momentum else [[]] * len(kernels)
        # Never changed: as many as were dropped are grown.
        self._counts = [positions[key].size for key in self._keys]
        active = (sum(self._counts),)
        self._write = own_function(
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
        self, masks: Callable[[], Masks], state: State, event: Event, seed: int
    ) -> tuple[Masks, State, list[Moved]]:
        """Let an event happen.

        Args:
            masks: Function that returns a dict of layer key to boolean array.
            state: Dict of name to array.
            event: `Event`.
            seed: Integer, the seed of the event.

        Returns:
            Tuple of the new masks, the new state and what has changed.
        """
        algorithm, keys = self._algorithm, self._keys
        before = algorithm.positions(keys, state)
        weights = {
            kernel.key: _active(kernel.weight, before[kernel.key])
            for kernel in self._kernels
        }
        weights, new_masks, state = algorithm.move_active(
            weights, masks(), state, event=event, seed=seed
        )
        after = algorithm.positions(keys, state)
        places, moved = [], []
        for kernel, count in zip(self._kernels, self._counts, strict=True):
            old, new = before[kernel.key], after[kernel.key]
            at = np.flatnonzero(old != new)
            places += [old[at], new[at]]
            density = count / new_masks[kernel.key].size
            moved.append(Moved(kernel, at.size, at.size, density))
        self._write(
            tf.constant(np.concatenate([after[key] for key in keys])),
            tf.constant(np.concatenate([weights[key] for key in keys])),
            tf.constant([2 * one.grown for one in moved], tf.int64),
            tf.constant(np.concatenate(places)),
        )
        return new_masks, state, moved

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
            weight = tf.zeros(tuple(kernel.weight.shape))
            _replace(kernel.weight, weight, at, values)
            # First those that were dropped, then as many that have grown.
            number = tf.size(moved) // 2
            active = tf.repeat([0.0, 1.0], [number, number])
            _replace(kernel.mask, kernel.mask.value, moved, active)
            for slot in owned:
                values = tf.fill(tf.shape(moved), slot.initial or 0.0)
                _replace(slot.variable, slot.variable.value, moved, values)


def _active(variable, positions) -> np.ndarray:
    # A view of the variable, not a copy.
    whole = np.asarray(tf.convert_to_tensor(variable.value))
    return whole.reshape(-1).take(positions).astype(np.float32, copy=False)


def _replace(variable, before, places, values) -> None:
    """Assign a tensor with other values at some places."""
    before = tf.reshape(tf.cast(before, tf.float32), [-1])
    # Not in place: from then on TensorFlow would copy it at every read.
    (after,) = run("CbReplace", [before, places, values])
    variable.assign(tf.reshape(after, variable.shape))
