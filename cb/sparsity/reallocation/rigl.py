"""The rigged lottery (RigL)."""

import dataclasses
from typing import ClassVar
from typing import Literal

import numpy as np

from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.drop_and_grow import DropAndGrow


@REGISTRY.register("rigl")
@dataclasses.dataclass(frozen=True, kw_only=True)
class RigL(DropAndGrow):
    """Drops the smallest weights, grows where the gradient is largest.

    Args:
        regrow_dropped: Boolean, whether a connection may grow in the event
            that drops it; it then keeps its value and optimizer slots, as
            published.
        gradients: `"probe"`, of a probe batch; `"step"`, of the batch of the
            step that makes the event due; `"running"`, the same, but the
            optimizer skips the update of that step, as published.
        skip_update: Boolean; `False` makes `"running"` another name of
            `"step"`, as it was before there was that one.
        **kwargs: As in `DropAndGrow`.

    Reference:

    - [Evci et al., 2020](https://arxiv.org/abs/1911.11134)
    """

    needs_gradients: ClassVar[bool] = True

    regrow_dropped: bool = True
    gradients: Literal["probe", "step", "running"] = "probe"
    skip_update: bool = True

    def __post_init__(self):
        super().__post_init__()
        if self.gradients == "running" and not self.skip_update:
            object.__setattr__(self, "gradients", "step")

    def _grow_scores(self, layer):
        return np.abs(layer.gradients)
