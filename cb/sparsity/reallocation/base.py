"""The contract of a reallocation algorithm, and what most of them share."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar
from typing import NamedTuple

import numpy as np

from cb.errors import InputError
from cb.sparsity import masks
from cb.sparsity import schedules
from cb.sparsity import seeds
from cb.sparsity.schedules import Horizon
from cb.sparsity.schedules import Period
from cb.sparsity.schedules import Time


class Connections(NamedTuple):
    """One layer as an algorithm sees it.

    Attributes:
        weights: Float array, the kernel.
        mask: Boolean array of the same shape, true where active.
        gradients: Float array of the same shape, the gradient of the loss
            with respect to the masked kernel, for active and inactive
            positions; `None` unless the algorithm needs gradients.
    """

    weights: np.ndarray
    mask: np.ndarray
    gradients: np.ndarray | None = None


class Event(NamedTuple):
    """One moment of reallocation.

    Attributes:
        step: Integer, the optimizer step that made it due.
        number: Integer, how many events came before.
        period: `Period`, when events are due.
    """

    step: int
    number: int
    period: Period


Layers = Mapping[str, Connections]
Masks = dict[str, np.ndarray]
State = dict[str, np.ndarray]


class Reallocation:
    """Decides which connections are active; pure, all layers at once.

    Subclasses are frozen dataclasses whose fields are hyperparameters and
    validate them in `__post_init__`. What a subclass declares, the contract
    test checks:

    - `needs_gradients`: `Connections.gradients` must be given.
    - `straight_through`: training itself uses gradients of all weights.
    - `every_step`: an event follows every optimizer step.
    - `keeps_count`: the number of active connections never changes.
    - `zero_inactive`: inactive weights are zero after every step.
    """

    needs_gradients: ClassVar[bool] = False
    straight_through: ClassVar[bool] = False
    every_step: ClassVar[bool] = False
    keeps_count: ClassVar[bool] = True
    zero_inactive: ClassVar[bool] = True

    def period(self, horizon: Horizon) -> Period | None:
        """Return when events are due in a training, `None` for never.

        Args:
            horizon: `Horizon`, the length of the training.

        Raises:
            InputError: If a time cannot be resolved.
        """
        raise NotImplementedError

    def init(self, layers: Layers) -> State:
        """Return the state before the first event.

        Args:
            layers: Dict of layer key to `Connections`.

        Returns:
            Dict of name to array; it is saved with every checkpoint.
        """
        del layers
        return {}

    def update(
        self, layers: Layers, state: State, *, event: Event, seed: int
    ) -> tuple[Masks, State]:
        """Return the masks and the state after an event.

        Args:
            layers: Dict of layer key to `Connections`.
            state: What `init` or the last `update` returned.
            event: `Event`.
            seed: Integer, a function of the run's seed and the step.

        Returns:
            Tuple of a dict of layer key to boolean array and the new state.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DropAndGrow(Reallocation):
    """Drops a fraction of every layer and grows as many in the same layer.

    Args:
        drop_fraction: Float in [0, 1], of a layer's active connections.
        decay: How the fraction changes between `start` and `end`:
            `"cosine"`, `"linear"` or `"constant"`.
        every: Time between events.
        start: Time before which nothing happens.
        end: Time after which nothing happens.
    """

    drop_fraction: float = 0.3
    decay: str = "cosine"
    every: Time = 100
    start: Time = 0
    end: Time = 0.75

    def __post_init__(self):
        schedules.check_fraction("drop_fraction", self.drop_fraction)
        schedules.check_decay(self.decay)
        # Everything but the lengths can be checked before they are known.
        _period(self, Horizon(total_steps=1000, steps_per_epoch=100))

    def period(self, horizon: Horizon) -> Period:
        return _period(self, horizon)

    def update(self, layers, state, *, event, seed):
        _, start, end = event.period
        fraction = self.drop_fraction * schedules.decay(
            self.decay, event.step, start, end
        )
        new_masks = {
            key: self._move(layer, fraction, seeds.generator(seed, "grow", key))
            for key, layer in layers.items()
        }
        return new_masks, state

    def _move(self, layer, fraction, random):
        # Rounding to 9 digits undoes binary error: 0.3 * 10 is 3.
        number = int(round(fraction * masks.count(layer.mask), 9))
        kept = self._keep(layer, number)
        return kept | self._grow(layer, kept, random)

    def _keep(self, layer: Connections, number: int) -> np.ndarray:
        """Return the mask of what stays when `number` are dropped."""
        active = masks.count(layer.mask)
        # No more can be dropped than can grow elsewhere.
        number = min(number, self._room(layer, active))
        magnitude = np.abs(layer.weights)
        return masks.keep_top(magnitude, active - number, where=layer.mask)

    def _room(self, layer: Connections, active: int) -> int:
        return layer.mask.size - active

    def _grow(
        self,
        layer: Connections,
        kept: np.ndarray,
        random: np.random.Generator,
    ) -> np.ndarray:
        """Return a mask of as many new connections as were dropped."""
        raise NotImplementedError


def _period(algorithm: DropAndGrow, horizon: Horizon) -> Period:
    every = horizon.steps(algorithm.every, "every")
    start = horizon.steps(algorithm.start, "start")
    end = horizon.steps(algorithm.end, "end")
    zero = str(algorithm.every).removesuffix("ep")
    if every < 1 and float(zero) == 0.0:
        raise InputError(
            "Argument `every` must be more than nothing. "
            f"Received: every={algorithm.every!r}"
        )
    return Period(max(every, 1), start, end)
