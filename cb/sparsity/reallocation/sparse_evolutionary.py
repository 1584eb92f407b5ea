"""Sparse evolutionary training (SET)."""

import dataclasses
from typing import Literal

import numpy as np

from cb.sparsity import masks
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.drop_and_grow import DropAndGrow


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
        **kwargs: As in `DropAndGrow`.

    Reference:

    - [Mocanu et al., 2018](https://arxiv.org/abs/1707.04780)
    """

    rule: Literal["magnitude", "sign"] = "magnitude"

    @property
    def sees_blocks(self):
        return super().sees_blocks and self.rule == "magnitude"

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
