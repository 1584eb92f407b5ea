"""N of every M weights, by a sparse-refined straight-through (SR-STE)."""

import dataclasses
from typing import ClassVar

from cb.errors import InputError
from cb.errors import argument_error
from cb.registry import Count
from cb.registry import NotNegative
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.base import WeightPenalty
from cb.sparsity.reallocation.reselected import Reselected
from cb.sparsity.rules import TopOfGroups


@REGISTRY.register("n_by_m")
@dataclasses.dataclass(frozen=True, kw_only=True)
class NByM(Reselected):
    """Keeps the N largest of every M weights along an axis, re-selected.

    Gradients reach all weights, and inactive weights are pulled towards
    zero, which keeps the selection from flickering. A last group of fewer
    than M weights counts as padded.

    Args:
        n: Integer, active weights of a group.
        m: Integer, size of a group.
        axis: Integer, the axis of the kernel that groups lie along. Defaults
            to the inputs of dense and convolutional kernels.
        pull: Float, factor of half the sum of squared inactive weights in
            the loss.
        stop: Time after which the active weights stay the same.

    Reference:

    - [Zhou et al., 2021](https://arxiv.org/abs/2102.04010)
    """

    keeps_count: ClassVar[bool] = False

    n: Count = 2
    m: Count = 4
    axis: int = -2
    pull: NotNegative = 2e-4

    def __post_init__(self):
        super().__post_init__()
        if self.n > self.m:
            raise argument_error("n", "at most `m`", self.n, m=self.m)

    def init(self, layers):
        for key, layer in layers.items():
            if not -layer.mask.ndim <= self.axis < layer.mask.ndim:
                raise InputError(
                    f"Argument `axis` must be an axis of every kernel. "
                    f"Received: axis={self.axis}, and layer {key!r} has "
                    f"shape {layer.mask.shape}"
                )
        return {}

    def penalties(self, layers):
        return dict.fromkeys(layers, WeightPenalty(inactive=self.pull))

    def rules(self, keys, state):
        del state
        return dict.fromkeys(keys, TopOfGroups(self.n, self.m, self.axis))
