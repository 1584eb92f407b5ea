"""Events that graphs do instead of NumPy, for algorithms after every step."""

import math
import warnings
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import tensorflow as tf

from cb.callbacks.slots import Slot
from cb.distribute import collectives
from cb.kernels.threads import has_numba
from cb.layers.masked import Masked
from cb.layers.masked import MaskedKernel
from cb.sparsity.masks import LARGEST_UNSORTED_GROUP as LARGEST_GROUP
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import Masks
from cb.sparsity.reallocation.base import State

# Operations count in float32, exactly up to here.
LARGEST = 2**24


class Moved(NamedTuple):
    """What an event has changed in one kernel.

    Attributes:
        kernel: `MaskedKernel`.
        dropped: Integer, entries of the mask made inactive.
        grown: Integer, entries made active.
        density: Float, the fraction of active entries.
    """

    kernel: MaskedKernel
    dropped: int
    grown: int
    density: float


class GraphEvents:
    """Does what the events of an algorithm do, where a graph can.

    Without Numba, which compiles its operations, none can, and a warning says
    so.

    Args:
        algorithm: `Algorithm`.
        kernels: List of `MaskedKernel`.
        slots: List of lists of `Slot`, those of each kernel.
        strategy: Strategy of the model. Of several workers, one decides for
            all, in NumPy.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        kernels: Sequence[MaskedKernel],
        slots: Sequence[Sequence[Slot]],
        strategy: tf.distribute.Strategy,
    ):
        self._algorithm = algorithm
        self._kernels = kernels
        self._slots = slots
        possible = collectives.rank_and_size(strategy)[1] == 1 and all(
            isinstance(kernel.layer, Masked)
            and math.prod(kernel.block) == 1
            and math.prod(kernel.mask.shape) < LARGEST
            and kernel.weight.dtype != "float64"
            for kernel in kernels
        )
        if possible and algorithm.every_step and not has_numba():
            warnings.warn(
                f"Without Numba, {type(algorithm).__name__} acts after every "
                "step in NumPy, which makes a step of a perceptron 1.1 to 1.6 "
                "times as long: `pip install numba`",
                stacklevel=2,
            )
        self._possible = possible and has_numba()
        self._state: State | None = None
        self._do: Callable[..., Any] | None = None

    def __call__(
        self,
        masks: Callable[[], Masks],
        state: State | None,
        event: Event,
        seed: int,
    ) -> tuple[Masks | None, State, list[Moved]] | None:
        """Let an event happen.

        Args:
            masks: Function that returns a dict of layer key to boolean array.
            state: Dict of name to array, that of the algorithm.
            event: `Event`.
            seed: Integer, the seed of the event.

        Returns:
            Tuple of the new masks, `None` if only the graph knows them, the
            new state and a list of `Moved`; or `None` if nothing was done.
        """
        if state is None or not self._possible:
            return None
        if self._state is not state:
            self._do, self._state = self._make(state), state
        if self._do is None:
            return None
        new_masks, self._state, moved = self._do(masks, state, event, seed)
        return new_masks, self._state, moved

    def _make(self, state):
        algorithm, kernels = self._algorithm, self._kernels
        keys = [kernel.key for kernel in kernels]
        if rules := algorithm.rules(keys, state):
            # Numba is imported where there is something for it to do.
            from cb.callbacks.reallocation.graph_selection import GraphSelection

            if any(getattr(r, "m", 0) > LARGEST_GROUP for r in rules.values()):
                return None
            select = GraphSelection(kernels, rules)
            return lambda masks, state, event, seed: (None, state, select())
        if positions := algorithm.positions(keys, state):
            from cb.callbacks.reallocation.graph_rewiring import GraphRewiring

            return GraphRewiring(algorithm, kernels, self._slots, positions)
        return None
