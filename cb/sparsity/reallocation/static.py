"""A mask that never changes."""

import dataclasses

from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.base import Reallocation


@REGISTRY.register("static")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Static(Reallocation):
    """Keeps the mask as it is: the control of every comparison."""

    @property
    def sees_cells(self):
        return True

    def period(self, horizon):
        del horizon

    def update(self, layers, state, *, event, seed):
        del event, seed
        return {key: layer.mask for key, layer in layers.items()}, state
