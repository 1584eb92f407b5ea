"""What algorithms share that choose the masks once, before training."""

import dataclasses
from typing import ClassVar

import numpy as np

from cb.errors import InputError
from cb.registry import unknown
from cb.sparsity import masks
from cb.sparsity.reallocation.base import LayerState
from cb.sparsity.reallocation.base import Reallocation

SCOPES = ("global", "layer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AtStart(Reallocation):
    """Chooses as many connections as there are, then keeps them.

    Args:
        scope: `"global"` shares connections out among layers by score,
            `"layer"` keeps the number of each.
        minimum: Integer, connections that a layer gets under `"global"`.
    """

    at_start: ClassVar[bool] = True

    scope: str = "global"
    minimum: int = 1

    def __post_init__(self):
        if self.scope not in SCOPES:
            raise unknown("scope", self.scope, SCOPES)
        if not isinstance(self.minimum, int) or self.minimum < 1:
            raise InputError(
                "Argument `minimum` must be a positive integer. "
                f"Received: minimum={self.minimum!r}"
            )

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
        """Return what the connections are ranked by, highest kept."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class FromGradients(AtStart):
    """Ranks connections by gradients of the dense model.

    Args:
        num_batches: Integer, batches that gradients are averaged over.
        scope: As of `AtStart`.
        minimum: As of `AtStart`.
    """

    needs_gradients: ClassVar[bool] = True

    num_batches: int = 1

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.num_batches, int) or self.num_batches < 1:
            raise InputError(
                "Argument `num_batches` must be a positive integer. "
                f"Received: num_batches={self.num_batches!r}"
            )
