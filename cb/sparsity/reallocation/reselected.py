"""The base of algorithms that select from all weights at every step."""

import dataclasses
from typing import ClassVar

from cb.schedules import PeriodicSchedule
from cb.schedules import Time
from cb.sparsity.reallocation.base import Algorithm


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reselected(Algorithm):
    """Trains all weights and uses a selection of them.

    Weights change in optimizer steps only, so selecting after each step
    covers every forward pass. A subclass is its `rules`.

    Args:
        stop: Time after which the selection stays the same.
    """

    at_start: ClassVar[bool] = True
    straight_through: ClassVar[bool] = True
    every_step: ClassVar[bool] = True
    zero_inactive: ClassVar[bool] = False

    stop: Time = 1.0

    def period(self, training_length):
        return PeriodicSchedule(1, 0, training_length.steps(self.stop, "stop"))

    def initial_masks(self, layers, state, *, seed):
        del seed
        rules = self.rules(layers, state)
        return {
            key: rules[key].choose(layer.weights)
            for key, layer in layers.items()
        }, state

    def update(self, layers, state, *, event, seed):
        del event
        return self.initial_masks(layers, state, seed=seed)
