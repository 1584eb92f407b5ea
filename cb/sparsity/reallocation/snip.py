"""Single-shot pruning by connection sensitivity (SNIP)."""

import dataclasses

import numpy as np

from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.at_start import FromGradients


@REGISTRY.register("snip")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Snip(FromGradients):
    """Keeps the connections whose removal would change the loss the most.

    The score is the absolute product of weight and gradient of the dense
    model at initialization; the gradient alone is worse than chance.

    Args:
        **kwargs: As in `FromGradients`.

    Reference:

    - [Lee et al., 2019](https://arxiv.org/abs/1810.02340)
    """

    def _scores(self, layer, key, seed):
        del key, seed
        return np.abs(layer.gradients * layer.weights)
