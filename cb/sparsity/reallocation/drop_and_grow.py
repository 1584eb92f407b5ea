"""The bases of algorithms with periodic events and with drop and growth."""

import dataclasses
from typing import ClassVar
from typing import Literal

import numpy as np

from cb import schedules
from cb import seeds
from cb.errors import InputError
from cb.registry import Fraction
from cb.registry import Natural
from cb.schedules import Decay
from cb.schedules import Every
from cb.schedules import PeriodicSchedule
from cb.schedules import Time
from cb.sparsity import masks
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState


@dataclasses.dataclass(frozen=True, kw_only=True)
class Periodic(Algorithm):
    """Has events at regular intervals between two times.

    Args:
        every: Time between events, or a dict of first epoch to a number of
            steps, such as `{0: 100, 25: 200}`.
        start: Time before which nothing happens.
        end: Time after which nothing happens.
        reset_momentum: Boolean, whether optimizer slots of moved
            connections start afresh. If not, as published for `set` and
            `dynamic_sparse`, dropped weights drift unseen until the next
            event, and grown ones start with the momentum that is left.
            Where all weights train, nothing is ever reset.
    """

    every: Every = 100
    start: Time = 0
    end: Time = 0.75
    reset_momentum: bool = True

    def period(self, training_length):
        return PeriodicSchedule(
            training_length.interval(self.every),
            training_length.steps(self.start, "start"),
            training_length.steps(self.end, "end"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DropAndGrow(Periodic):
    """Drops a fraction of every layer and grows as many in the same layer.

    A subclass is its scores: `_drop_scores` ranks what to drop, by magnitude
    unless overridden, and `_grow_scores` what to grow, at random unless
    overridden. This class sees to counts, schedule, ties and room.

    Args:
        drop_fraction: Float in [0, 1], of a layer's active connections.
        decay: Decay of the fraction between `start` and `end`: `"cosine"`,
            `"linear"` or `"constant"`.
        grown: Initial value of grown weights: `"zero"`; `"redrawn"`, a
            normal value of standard deviation `sqrt(1 / inputs)` for a
            matrix and `sqrt(2 / (positions * filters))` for a convolution;
            `"gradient"`, a step of `grown_scale` down the gradient.
        grown_scale: Float, the step of `"gradient"`.
        offset: Integer, steps by which events come after the multiples of
            `every`. With 1, an event at the end of an epoch follows the scores
            of that epoch, as in published curves.
        **kwargs: As in `Periodic`.
    """

    keeps_layer_counts: ClassVar[bool] = True

    drop_fraction: Fraction = 0.3
    decay: Decay = "cosine"
    grown: Literal["zero", "redrawn", "gradient"] = "zero"
    grown_scale: float = 0.0
    offset: Natural = 0

    # Whether a connection may grow in the event that drops it.
    regrow_dropped = False

    def __init_subclass__(cls):
        if vars(cls).keys() & {"_keep", "_grow"}:
            raise TypeError(
                f"Class `{cls.__name__}` must override `_drop_scores` and "
                "`_grow_scores`: `_keep` and `_grow` are called no more."
            )

    def __post_init__(self):
        super().__post_init__()
        if self.grown == "gradient" and not self.needs_gradients:
            raise InputError(
                "Argument `grown` must be 'zero' or 'redrawn' for an "
                "algorithm without gradients. Received: grown='gradient'"
            )

    @property
    def sees_blocks(self):
        return self.grown == "zero"

    def period(self, training_length):
        return super().period(training_length)._replace(offset=self.offset)

    def init(self, layers):
        return {f"explored/{key}": layers[key].mask for key in layers}

    def adopt(self, layers, state):
        names = {f"explored/{key}": key for key in layers}
        explored = {n: state[n] | layers[k].mask for n, k in names.items()}
        return {**state, **explored}

    def update(self, layers, state, *, event, seed):
        fraction = self._fraction(event)
        new_masks, new_state = {}, dict(state)
        for key, layer in layers.items():
            random = seeds.generator(seed, "grow", key)
            new_masks[key] = self._moved(layer, fraction, random)
            name = f"explored/{key}"
            new_state[name] = state[name] | new_masks[key]
        return new_masks, new_state

    def values(self, layers, masks, state, *, seed):
        if self.grown == "zero":
            return {}
        return {
            key: np.where(
                masks[key] & ~layer.mask,
                self._grown_values(layer, seeds.generator(seed, "value", key)),
                layer.weights,
            )
            for key, layer in layers.items()
        }

    def metrics(self, state):
        explored = [v for k, v in state.items() if k.startswith("explored/")]
        size = sum(mask.size for mask in explored)
        number = sum(masks.count(mask) for mask in explored)
        return {"exploration_rate": number / size}

    def _grown_values(self, layer, random):
        if self.grown == "gradient":
            return -self.grown_scale * layer.gradients
        shape = layer.weights.shape
        variance = 1.0 / shape[0]
        if len(shape) > 2:
            variance = 2.0 / (np.prod(shape[:-2]) * shape[-1])
        values = random.standard_normal(shape, np.float32)
        return np.float32(np.sqrt(variance)) * values

    def _fraction(self, event: Event) -> float:
        """Return the fraction of its connections that each layer drops."""
        period = event.period
        return self.drop_fraction * schedules.decay(
            self.decay, event.step, period.start, period.end
        )

    def _moved(self, layer, fraction, random) -> np.ndarray:
        """Return the mask of a layer after dropping and growing."""
        active = masks.count(layer.mask)
        # Rounding to 9 digits undoes binary error: 0.3 * 10 is 3.
        number = int(round(fraction * active, 9))
        if not self.regrow_dropped:
            # No more can be dropped than can grow elsewhere.
            number = min(number, layer.mask.size - active)
        kept = self._kept(layer, active - number)
        open_to_growth = ~(kept if self.regrow_dropped else layer.mask)
        scores = self._grow_scores(layer)
        if scores is None:
            return kept | masks.choose(open_to_growth, number, random)
        return kept | masks.keep_top(scores, number, open_to_growth)

    def _kept(self, layer: LayerState, number: int) -> np.ndarray:
        """Return the mask of the `number` connections that stay."""
        return masks.keep_top(self._drop_scores(layer), number, layer.mask)

    def _drop_scores(self, layer: LayerState) -> np.ndarray:
        """Return a score for each connection; the lowest are dropped.

        Args:
            layer: `LayerState`.

        Returns:
            Float array of the shape of the kernel, of which only active
            positions count. Defaults to absolute weights.
        """
        return np.abs(layer.weights)

    def _grow_scores(self, layer: LayerState) -> np.ndarray | None:
        """Return a score for each position; the highest are grown.

        Args:
            layer: `LayerState`.

        Returns:
            Float array of the shape of the kernel, of which only inactive
            positions count (with `regrow_dropped`, also those just dropped),
            or `None`, the default, to draw positions uniformly at random.
        """
        del layer
        return None
