"""Gradient signal preservation (GraSP)."""

import dataclasses
from typing import ClassVar

from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.at_start import FromGradients


@REGISTRY.register("grasp")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Grasp(FromGradients):
    """Keeps the connections whose removal would weaken the gradient most.

    The published score is minus the weight times the product of Hessian and
    gradient, of the dense model at initialization; the highest are dropped.

    Args:
        **kwargs: As in `FromGradients`.

    Reference:

    - [Wang et al., 2020](https://arxiv.org/abs/2002.07376)
    """

    needs_curvature: ClassVar[bool] = True

    def _scores(self, layer, key, seed):
        del key, seed
        return layer.weights * layer.curvature
