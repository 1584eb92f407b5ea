"""Gradient signal preservation (GraSP)."""

import dataclasses
from typing import ClassVar

from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.at_start import AtStart
from cb.sparsity.reallocation.at_start import check_batches


@REGISTRY.register("grasp")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Grasp(AtStart):
    """Keeps the connections whose removal would weaken the gradient most.

    The published score is minus the weight times the product of Hessian and
    gradient, of the dense model at initialization; the highest are dropped.

    Args:
        num_batches: Integer, batches that gradient and product are averaged
            over.
        **kwargs: As of `AtStart`: `scope`, `minimum`.

    Reference:

    - [Wang et al., 2020](https://arxiv.org/abs/2002.07376)
    """

    needs_gradients: ClassVar[bool] = True
    needs_curvature: ClassVar[bool] = True

    num_batches: int = 1

    def __post_init__(self):
        super().__post_init__()
        check_batches(self.num_batches)

    def _scores(self, layer, key, seed):
        del key, seed
        return layer.weights * layer.curvature
