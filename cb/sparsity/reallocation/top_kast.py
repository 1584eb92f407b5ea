"""Top-KAST: sparse forward and backward passes."""

import dataclasses
from typing import ClassVar

import numpy as np

from cb.registry import Fraction
from cb.registry import NotNegative
from cb.schedules import Time
from cb.sparsity import masks
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.base import FlopFactors
from cb.sparsity.reallocation.base import WeightPenalty
from cb.sparsity.reallocation.drop_and_grow import Periodic


@REGISTRY.register("top_kast")
@dataclasses.dataclass(frozen=True, kw_only=True)
class TopKast(Periodic):
    """Uses the largest weights and trains some more besides.

    The forward set holds the largest absolute weights of a layer, as many as
    training starts with; the backward set adds the next largest. The other
    weights are neither used nor trained until they are among the largest. A
    penalty keeps used weights small, and explored ones smaller, so that
    others get their turn.

    Args:
        explored: Float in [0, 1], the fraction of a layer's weights to train
            in addition to those used.
        penalty: Float, factor of half the sum of squared used weights in the
            loss; explored ones have it divided by the layer's density.
        **kwargs: As in `Periodic`.

    Reference:

    - [Jayakumar et al., 2020](https://arxiv.org/abs/2106.03517)
    """

    at_start: ClassVar[bool] = True
    straight_through: ClassVar[bool] = True
    zero_inactive: ClassVar[bool] = False
    sees_blocks: ClassVar[bool] = True

    explored: Fraction = 0.1
    penalty: NotNegative = 1e-4
    end: Time = 1.0

    def step_passes(self):
        return FlopFactors(sparse=3, dense=self.explored)

    def init(self, layers):
        return {f"backward/{key}": layer.mask for key, layer in layers.items()}

    def adopt(self, layers, state):
        sets = {
            f"backward/{key}": self._backward(layer, layer.mask)
            for key, layer in layers.items()
        }
        return {**state, **sets}

    def initial_masks(self, layers, state, *, seed):
        del state, seed
        return self._sets(layers)

    def update(self, layers, state, *, event, seed):
        del state, event, seed
        return self._sets(layers)

    def backward(self, state):
        return {
            name.removeprefix("backward/"): mask for name, mask in state.items()
        }

    def penalties(self, layers):
        densities = {
            key: masks.count(layer.mask) / layer.mask.size
            for key, layer in layers.items()
        }
        return {
            key: WeightPenalty(
                active=self.penalty, inactive=self.penalty / density
            )
            for key, density in densities.items()
        }

    def _sets(self, layers):
        forward, state = {}, {}
        for key, layer in layers.items():
            magnitude = np.abs(layer.weights)
            used = masks.count(layer.mask)
            forward[key] = masks.keep_top(magnitude, used)
            state[f"backward/{key}"] = self._backward(layer, forward[key])
        return forward, state

    def _backward(self, layer, forward) -> np.ndarray:
        """Return the forward set and the largest weights besides."""
        more = int(round(self.explored * layer.mask.size, 9))
        more = min(more, layer.mask.size - masks.count(forward))
        magnitude = np.abs(layer.weights)
        return forward | masks.keep_top(magnitude, more, ~forward)
