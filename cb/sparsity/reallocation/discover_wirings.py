"""Discovering neural wirings (DNW)."""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from cb.registry import Rate
from cb.sparsity import masks
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.reselected import Reselected
from cb.sparsity.rules import Top


@REGISTRY.register("discover_wirings")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscoverWirings(Reselected):
    """Uses the largest weights of every layer and trains all weights.

    After every step the largest absolute weights become the active ones, so
    every forward pass, evaluation and export use them; gradients reach all
    weights, as if all had been used. Inactive weights keep their values.

    Args:
        sparsity: Float in [0, 1), of every layer: `floor(sparsity * n)` of
            its `n` weights are inactive. Defaults to the number that every
            layer starts with.
        stop: Time after which the active weights stay the same.

    Reference:

    - [Wortsman et al., 2019](https://arxiv.org/abs/1906.00586)
    """

    sees_blocks: ClassVar[bool] = True

    sparsity: Rate | None = None

    def init(self, layers):
        return {
            f"count/{key}": np.int64(self._count(layer.mask))
            for key, layer in layers.items()
        }

    def rules(self, keys, state):
        return {key: Top(int(state[f"count/{key}"])) for key in keys}

    def _count(self, mask) -> int:
        if self.sparsity is None:
            return masks.count(mask)
        return mask.size - math.floor(self.sparsity * mask.size)
