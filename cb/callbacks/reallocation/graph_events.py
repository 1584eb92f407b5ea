"""Events that graphs do instead of NumPy, for algorithms after every step."""

import math
from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf

from cb.callbacks.reallocation.graph_rewiring import GraphRewiring
from cb.callbacks.reallocation.graph_selection import GraphSelection
from cb.callbacks.reallocation.graph_selection import Moved
from cb.callbacks.reallocation.graph_selection import graph_selection
from cb.callbacks.slots import Slot
from cb.distribute import collectives
from cb.layers.masked import Masked
from cb.layers.masked import MaskedKernel
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import Masks
from cb.sparsity.reallocation.base import State
from cb.sparsity.reallocation.deep_rewiring import DeepRewiring
from cb.sparsity.reallocation.discover_wirings import DiscoverWirings
from cb.sparsity.reallocation.n_by_m import NByM


class GraphEvents:
    """Does what the events of an algorithm do, where a graph can.

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
        self._possible = collectives.rank_and_size(strategy)[1] == 1 and all(
            isinstance(kernel.layer, Masked) and math.prod(kernel.block) == 1
            for kernel in kernels
        )
        self._state: State | None = None
        self._made: GraphRewiring | GraphSelection | None = None

    def __call__(
        self, masks: Callable[[], Masks], state: State, event: Event, seed: int
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
        if not self._possible:
            return None
        if self._state is not state:
            self._made = self._make(state)
        if self._made is None:
            return None
        if isinstance(self._made, GraphSelection):
            self._state = state
            return None, state, self._made()
        new_masks, self._state, moved = self._made(masks(), state, event, seed)
        return new_masks, self._state, moved

    def _make(self, state):
        algorithm, kernels = self._algorithm, self._kernels
        if type(algorithm) is DeepRewiring:
            return GraphRewiring(algorithm, kernels, self._slots, state)
        if type(algorithm) in (DiscoverWirings, NByM):
            return graph_selection(algorithm, kernels, state)
        return None
