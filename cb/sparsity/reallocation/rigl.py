"""The rigged lottery (RigL)."""

import dataclasses
from typing import ClassVar

import numpy as np

from cb.registry import unknown
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.drop_and_grow import DropAndGrow

GRADIENTS = ("probe", "running")


@REGISTRY.register("rigl")
@dataclasses.dataclass(frozen=True, kw_only=True)
class RigL(DropAndGrow):
    """Drops the smallest weights, grows where the gradient is largest.

    Args:
        regrow_dropped: Boolean, whether a connection may grow in the event
            that drops it; it then keeps its value and optimizer slots, as
            published.
        gradients: `"probe"`, of a batch of their own, or `"running"`, of the
            batch of the step that makes the event due.
        skip_update: Boolean, whether with `"running"` the optimizer leaves
            that step out, as published.
        **kwargs: As of `DropAndGrow`: `drop_fraction`, `decay`, `every`,
            `start`, `end`, `grown`, `grown_scale`.

    Reference:

    - [Evci et al., 2020](https://arxiv.org/abs/1911.11134)
    """

    needs_gradients: ClassVar[bool] = True

    regrow_dropped: bool = True
    gradients: str = "probe"
    skip_update: bool = True

    def __post_init__(self):
        super().__post_init__()
        if self.gradients not in GRADIENTS:
            raise unknown("gradients of `rigl`", self.gradients, GRADIENTS)

    def _grow_scores(self, layer):
        return np.abs(layer.gradients)
