"""Sparse evolutionary training (SET)."""

import dataclasses

import numpy as np

from cb.registry import unknown
from cb.sparsity import masks
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.drop_and_grow import DropAndGrow

RULES = ("magnitude", "sign")


@REGISTRY.register("set")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseEvolutionary(DropAndGrow):
    """Drops the weights nearest to zero, grows at random.

    New connections are drawn uniformly from those that were inactive before
    the event, so a connection never returns in the event that dropped it.

    Args:
        rule: `"magnitude"` drops the smallest absolute values; `"sign"`
            drops the smallest positive and the largest negative values, the
            same fraction of either sign (the original rule).
        **kwargs: As of `DropAndGrow`: `drop_fraction`, `decay`, `every`,
            `start`, `end`, `grown`, `grown_scale`.

    Reference:

    - [Mocanu et al., 2018](https://arxiv.org/abs/1707.04780)
    """

    rule: str = "magnitude"

    def __post_init__(self):
        super().__post_init__()
        if self.rule not in RULES:
            raise unknown("rule of `set`", self.rule, RULES)

    @property
    def sees_cells(self):
        return super().sees_cells and self.rule == "magnitude"

    def _keep(self, layer, number):
        if self.rule == "magnitude":
            return super()._keep(layer, number)
        active = masks.count(layer.mask)
        number = min(number, self._room(layer, active))
        # A weight of exactly zero counts as positive, so none is left out.
        negative = layer.mask & (layer.weights < 0)
        positive = layer.mask & ~negative
        num_negative = masks.count(negative)
        from_negative = min(
            round(number * num_negative / max(active, 1)), num_negative
        )
        from_positive = min(number - from_negative, active - num_negative)
        from_negative = number - from_positive
        magnitude = np.abs(layer.weights)
        return masks.keep_top(
            magnitude, num_negative - from_negative, where=negative
        ) | masks.keep_top(
            magnitude,
            active - num_negative - from_positive,
            where=positive,
        )

    def _grow(self, layer, kept, random):
        number = masks.count(layer.mask) - masks.count(kept)
        return masks.choose(~layer.mask, number, random)
