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

    def _kept(self, layer, number):
        if self.rule == "sign":
            return _kept_of_either_sign(layer, number)
        return super()._kept(layer, number)


def _kept_of_either_sign(layer, number) -> np.ndarray:
    """Keep the largest of either sign, in the proportion of their numbers."""
    # A weight of exactly zero counts as positive, so none is left out.
    negative = layer.mask & (layer.weights < 0)
    positive = layer.mask & ~negative
    num_negative, num_positive = masks.count(negative), masks.count(positive)
    active = num_negative + num_positive
    dropped = active - number
    share = min(round(dropped * num_negative / max(active, 1)), num_negative)
    from_positive = min(dropped - share, num_positive)
    from_negative = dropped - from_positive
    magnitude = np.abs(layer.weights)
    return masks.keep_top(
        magnitude, num_negative - from_negative, negative
    ) | masks.keep_top(magnitude, num_positive - from_positive, positive)
