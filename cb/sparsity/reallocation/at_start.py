"""The base of algorithms that choose the masks once, before training."""

import dataclasses
from typing import ClassVar
from typing import Literal

import numpy as np

from cb.registry import Count
from cb.sparsity import masks
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import LayerState


@dataclasses.dataclass(frozen=True, kw_only=True)
class AtStart(Algorithm):
    """Chooses as many connections as there are, then keeps them.

    A subclass is its `_scores`; the highest are kept.

    Args:
        scope: `"global"` ranks the connections of all layers together,
            `"layer"` keeps the number of each layer.
        minimum: Integer, connections that a layer gets under `"global"`.
    """

    at_start: ClassVar[bool] = True

    scope: Literal["global", "layer"] = "global"
    minimum: Count = 1

    @property
    def keeps_layer_counts(self):
        return self.scope == "layer"

    def period(self, training_length):
        del training_length

    def initial_masks(self, layers, state, *, seed):
        scores = {
            key: self._scores(layer, key, seed) for key, layer in layers.items()
        }
        if self.scope == "layer":
            return {
                key: masks.keep_top(scores[key], masks.count(layer.mask))
                for key, layer in layers.items()
            }, state
        total = sum(masks.count(layer.mask) for layer in layers.values())
        where = {
            key: np.ones(layer.mask.shape, bool)
            for key, layer in layers.items()
        }
        return masks.keep_top_across(scores, total, where, self.minimum), state

    def update(self, layers, state, *, event, seed):
        del event, seed
        return {key: layer.mask for key, layer in layers.items()}, state

    def _scores(self, layer: LayerState, key: str, seed: int) -> np.ndarray:
        """Return a score for each position; the highest are kept."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class FromGradients(AtStart):
    """Ranks connections by gradients of the dense model.

    Args:
        num_batches: Integer, the number of batches that gradients are
            averaged over.
        **kwargs: As in `AtStart`.
    """

    needs_gradients: ClassVar[bool] = True

    num_batches: Count = 1
