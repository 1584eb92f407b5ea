"""Single-shot pruning by connection sensitivity (SNIP)."""

import dataclasses
from typing import ClassVar

import numpy as np

from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.at_start import AtStart
from cb.sparsity.reallocation.at_start import check_batches


@REGISTRY.register("snip")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Snip(AtStart):
    """Keeps the connections whose removal would change the loss the most.

    The score is the absolute product of weight and gradient of the dense
    model at initialization. Not the gradient alone, which is worse than
    chance.

    Args:
        num_batches: Integer, batches that the gradient is averaged over.
        **kwargs: As of `AtStart`: `scope`, `minimum`.

    Reference:

    - [Lee et al., 2019](https://arxiv.org/abs/1810.02340)
    """

    needs_gradients: ClassVar[bool] = True

    num_batches: int = 1

    def __post_init__(self):
        super().__post_init__()
        check_batches(self.num_batches)

    def _scores(self, layer, key, seed):
        del key, seed
        return np.abs(layer.gradients * layer.weights)
