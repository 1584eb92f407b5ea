"""Deep rewiring (DeepR)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated
from typing import ClassVar
from typing import Literal

import numpy as np

from cb import schedules
from cb import seeds
from cb.registry import Natural
from cb.registry import NotNegative
from cb.schedules import NotEmpty
from cb.schedules import PeriodicSchedule
from cb.schedules import Time
from cb.sparsity import masks
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import WeightPenalty

Temperatures = Annotated[Mapping[Natural, NotNegative], NotEmpty()]


@REGISTRY.register("deep_rewiring")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepRewiring(Algorithm):
    """Walks at random and moves every connection whose weight changes sign.

    After each step every active weight takes a normal step of standard
    deviation `sqrt(2 * eta * temperature)`; those that have changed sign are
    dropped, and as many others of the layer, drawn uniformly, start at zero.
    A layer without inactive connections is left alone.

    Args:
        eta: Float, scale of the noise.
        temperature: Float, or a dict of first epoch to float.
        absolute: Float, factor of the sum of absolute weights in the loss.
        sign: `"fixed"` draws the sign of a new connection, which then never
            changes; `"adopted"` takes the first sign that its weight gets.
        noise: `"weights"`, added after the step, or `"gradients"`, added
            before it and so multiplied by the learning rate and smoothed by
            momentum, as in the code of the second reference.
        reset_momentum: Boolean, whether optimizer slots of moved
            connections start afresh.
        stop: Time after which there is no noise and no rewiring.

    Reference:

    - [Bellec et al., 2018](https://arxiv.org/abs/1711.05136)
    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    every_step: ClassVar[bool] = True
    keeps_layer_counts: ClassVar[bool] = True

    eta: NotNegative = 0.001
    temperature: NotNegative | Temperatures = 1e-5
    absolute: NotNegative = 1e-4
    sign: Literal["fixed", "adopted"] = "fixed"
    noise: Literal["weights", "gradients"] = "weights"
    reset_momentum: bool = True
    stop: Time = 1.0

    def period(self, training_length):
        return PeriodicSchedule(1, 0, training_length.steps(self.stop, "stop"))

    def init(self, layers):
        # Events follow every step, so only active positions are read.
        state = {}
        for key, layer in layers.items():
            positions = np.flatnonzero(layer.mask)
            sign = np.sign(layer.weights.reshape(-1)[positions])
            if self.sign == "fixed":
                # A weight of exactly zero must have a sign too.
                sign[sign == 0] = 1
            state[f"position/{key}"] = positions
            state[f"sign/{key}"] = sign.astype(np.int8)
        return state

    def adopt(self, layers, state):
        # No sign of a weight that somebody else wrote is one that it changed.
        return {**state, **self.init(layers)}

    def penalties(self, layers):
        if not self.absolute:
            return {}
        return dict.fromkeys(layers, WeightPenalty(absolute=self.absolute))

    def deviation(self, event) -> float:
        """Return the standard deviation of the noise of an event."""
        temperature = self.temperature
        if isinstance(temperature, Mapping):
            epoch = event.training_length.epoch(event.step - 1)
            temperature = schedules.piecewise(temperature, epoch)
        return math.sqrt(2.0 * self.eta * temperature)

    @property
    def noise_on_gradients(self):
        return self.noise == "gradients"

    def gradient_noise(self, event):
        return self.deviation(event) if self.noise_on_gradients else 0.0

    def perturb(self, layers, state, *, event, seed):
        deviation = np.float32(self.deviation(event))
        if not deviation or self.noise_on_gradients:
            return layers
        noisy = {}
        for key, layer in layers.items():
            positions = state[f"position/{key}"]
            if positions.size < layer.mask.size:
                random = seeds.generator(seed, "noise", key)
                noise = random.standard_normal(positions.size, np.float32)
                weights = layer.weights.copy()
                weights.reshape(-1)[positions] += deviation * noise
                layer = layer._replace(weights=weights)
            noisy[key] = layer
        return noisy

    def update(self, layers, state, *, event, seed):
        del event
        new_masks, new_state = {}, dict(state)
        for key, layer in layers.items():
            new_masks[key] = layer.mask
            positions = state[f"position/{key}"]
            if positions.size < layer.mask.size:
                weights = layer.weights.reshape(-1)[positions]
                random = seeds.generator(seed, "grow", key)
                new_masks[key], _ = self._rewire(
                    key, weights, layer.mask, new_state, random
                )
        return new_masks, new_state

    def positions(self, keys, state):
        return {key: state[f"position/{key}"] for key in keys}

    def move_active(self, weights, masks, state, *, event, seed):
        deviation = np.float32(self.deviation(event))
        noisy = bool(deviation) and not self.noise_on_gradients
        new_weights, new_masks, new_state = (
            dict(weights),
            dict(masks),
            {**state},
        )
        for key, values in weights.items():
            if values.size == masks[key].size:
                continue
            if noisy:
                random = seeds.generator(seed, "noise", key)
                noise = random.standard_normal(values.size, np.float32)
                values = values + deviation * noise
            random = seeds.generator(seed, "grow", key)
            new_masks[key], changed = self._rewire(
                key, values, masks[key], new_state, random
            )
            # Both those that have moved and those that found no room.
            new_weights[key] = values.copy()
            new_weights[key][changed] = 0.0
        return new_weights, new_masks, new_state

    def values(self, layers, masks, state, *, seed):
        del masks, seed
        values = {}
        for key, layer in layers.items():
            values[key] = layer.weights
            if not self.reset_momentum:
                # Dropped weights have drifted since, and may grow again.
                values[key] = np.where(layer.mask, layer.weights, 0.0)
            positions, sign = state[f"position/{key}"], state[f"sign/{key}"]
            # Those that found no room elsewhere; grown ones are zero.
            wrong = positions[_changed(layer, positions, sign)]
            if wrong.size and positions.size < layer.mask.size:
                values[key] = values[key].copy()
                values[key].reshape(-1)[wrong] = 0.0
        return values

    def _rewire(self, key, weights, mask, state, random):
        """Update positions and signs in `state`.

        Args:
            key: String, of the layer.
            weights: Float array, the active weights.
            mask: Boolean array of the kernel's shape.
            state: Dict of name to array.
            random: NumPy generator.

        Returns:
            Tuple of the new mask, and the indices of those active weights that
            have changed sign.
        """
        positions = state[f"position/{key}"].copy()
        sign = state[f"sign/{key}"].copy()
        all_changed = changed = np.flatnonzero(weights * sign < 0)
        room = mask.size - positions.size
        # Those that find no room elsewhere stay, with their sign, and start
        # at zero again.
        if changed.size > room:
            changed = random.choice(changed, room, replace=False, shuffle=False)
        grown = masks.choose_positions(~mask, changed.size, random)
        mask = mask.copy()
        mask.reshape(-1)[positions[changed]] = False
        mask.reshape(-1)[grown] = True
        if self.sign == "adopted":
            undecided = np.flatnonzero(sign == 0)
            sign[undecided] = np.sign(weights[undecided])
            sign[changed] = 0
        else:
            sign[changed] = random.choice([-1, 1], changed.size)
        positions[changed] = grown
        state[f"position/{key}"], state[f"sign/{key}"] = positions, sign
        return mask, all_changed


def _changed(layer, positions, sign) -> np.ndarray:
    """Return the indices of active weights that have changed sign."""
    return np.flatnonzero(layer.weights.reshape(-1)[positions] * sign < 0)
