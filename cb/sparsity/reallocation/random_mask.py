"""Masks drawn at random, once."""

import dataclasses
from typing import ClassVar
from typing import Literal

from cb import seeds
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.at_start import AtStart


@REGISTRY.register("random")
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomMask(AtStart):
    """Draws as many connections at random: the baseline of SNIP and GraSP.

    Args:
        scope: `"layer"` keeps the number of each layer, `"global"` makes all
            weights of the model equally likely.
        **kwargs: As in `AtStart`.
    """

    sees_blocks: ClassVar[bool] = True

    scope: Literal["global", "layer"] = "layer"

    def _scores(self, layer, key, seed):
        return seeds.generator(seed, "score", key).random(layer.mask.shape)
