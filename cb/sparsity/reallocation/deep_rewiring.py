"""Deep rewiring (DeepR)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from cb.errors import InputError
from cb.registry import unknown
from cb.sparsity import masks
from cb.sparsity import schedules
from cb.sparsity import seeds
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.base import Penalty
from cb.sparsity.reallocation.base import Reallocation
from cb.sparsity.schedules import Period
from cb.sparsity.schedules import Time

SIGNS = ("fixed", "adopted")


@REGISTRY.register("deep_rewiring")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepRewiring(Reallocation):
    """Walks at random and moves every connection whose weight changes sign.

    After each step every active weight takes a normal step of standard
    deviation `sqrt(2 * eta * temperature)`; those that have changed sign are
    dropped, and as many others of the layer, drawn uniformly, start at zero.
    A layer without inactive connections is left alone.

    Args:
        eta: Float, scale of the noise.
        temperature: Float, or a dict of first epoch to float.
        absolute: Float, factor of the sum of absolute weights in the loss.
        sign: `"fixed"` draws the sign of a new connection, which it then
            never changes; `"adopted"` takes the first that it comes to have.
        stop: Time after which noise and rewiring cease.

    Reference:

    - [Bellec et al., 2018](https://arxiv.org/abs/1711.05136)
    """

    every_step: ClassVar[bool] = True

    eta: float = 0.001
    temperature: float | Mapping[int, float] = 1e-5
    absolute: float = 1e-4
    sign: str = "fixed"
    stop: Time = 1.0

    def __post_init__(self):
        if self.sign not in SIGNS:
            raise unknown("sign rule of `deep_rewiring`", self.sign, SIGNS)
        temperatures = self.temperature
        if not isinstance(temperatures, Mapping):
            temperatures = {0: temperatures}
        if not temperatures:
            raise InputError("Argument `temperature` must not be empty.")
        for name, value in (
            ("eta", self.eta),
            ("absolute", self.absolute),
            *(("temperature", value) for value in temperatures.values()),
        ):
            if not isinstance(value, int | float) or not value >= 0.0:
                raise InputError(
                    f"Argument `{name}` must be zero or more. "
                    f"Received: {name}={value!r}"
                )

    def period(self, horizon):
        return Period(1, 0, horizon.steps(self.stop, "stop"))

    def init(self, layers):
        signs = {}
        for key, layer in layers.items():
            sign = np.sign(layer.weights).astype(np.int8)
            if self.sign == "fixed":
                # A weight of exactly zero must have a sign too.
                sign[sign == 0] = 1
            signs[f"sign/{key}"] = np.where(layer.mask, sign, np.int8(0))
        return signs

    def penalties(self, layers):
        if not self.absolute:
            return {}
        return dict.fromkeys(layers, Penalty(absolute=self.absolute))

    def deviation(self, event) -> float:
        """Return the standard deviation of the noise of an event."""
        temperature = self.temperature
        if isinstance(temperature, Mapping):
            epoch = event.horizon.epoch(event.step - 1)
            temperature = schedules.piecewise(temperature, epoch)
        return math.sqrt(2.0 * self.eta * temperature)

    def perturb(self, layers, state, *, event, seed):
        del state
        deviation = self.deviation(event)
        if not deviation:
            return layers
        return {
            key: layer
            if layer.mask.all()
            else layer._replace(
                weights=_with_noise(
                    layer, deviation, seeds.generator(seed, "noise", key)
                )
            )
            for key, layer in layers.items()
        }

    def update(self, layers, state, *, event, seed):
        del event
        new_masks, new_state = {}, {}
        for key, layer in layers.items():
            sign = state[f"sign/{key}"]
            mask = layer.mask
            if not mask.all():
                random = seeds.generator(seed, "grow", key)
                mask, sign = self._rewire(layer, sign, random)
            new_masks[key], new_state[f"sign/{key}"] = mask, sign
        return new_masks, new_state

    def values(self, layers, masks, state, *, seed):
        del seed
        values = {}
        for key, layer in layers.items():
            weights = layer.weights
            if not layer.mask.all():
                wrong = _changed(layer, state[f"sign/{key}"], masks[key])
                weights = weights.copy()
                weights.reshape(-1)[wrong] = 0.0
                weights[masks[key] & ~layer.mask] = 0.0
            values[key] = weights
        return values

    def _rewire(self, layer, sign, random):
        mask = layer.mask
        changed = _changed(layer, sign, mask)
        dropped = np.zeros(mask.shape, bool)
        dropped.reshape(-1)[changed] = True
        number = changed.size
        room = mask.size - masks.count(mask)
        # Where there is too little room, the last ones stay where they are,
        # with their sign, and start at zero again.
        if number > room:
            dropped = masks.choose(dropped, room, random)
            number = room
        grown = masks.choose(~mask, number, random)
        sign = sign.copy()
        if self.sign == "adopted":
            undecided = mask & (sign == 0)
            sign[undecided] = np.sign(layer.weights[undecided])
        sign[dropped] = 0
        drawn = np.int8(0)
        if self.sign == "fixed":
            drawn = random.choice(np.array([-1, 1], np.int8), number)
        sign[grown] = drawn
        return (mask & ~dropped) | grown, sign


def _changed(layer, sign, mask) -> np.ndarray:
    """Return the flat positions within `mask` of weights of another sign."""
    # This runs after every step, so only active positions are looked at.
    active = np.flatnonzero(mask)
    product = layer.weights.reshape(-1)[active] * sign.reshape(-1)[active]
    return active[product < 0]


def _with_noise(layer, deviation, random) -> np.ndarray:
    weights = layer.weights.copy()
    noise = random.standard_normal(masks.count(layer.mask), np.float32)
    weights[layer.mask] += np.float32(deviation) * noise
    return weights
