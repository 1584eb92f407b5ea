"""A mask that never changes."""

import dataclasses
from typing import ClassVar

from cb.errors import InputError
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.base import Algorithm


@REGISTRY.register("static")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Static(Algorithm):
    """Keeps the mask, the baseline of every comparison.

    Args:
        copy_mask_from: String `RUN[:initial|best|last|N]`, the folder of a
            run of the same model; training starts with the masks of that
            checkpoint, `last` by default.
        initial_weights: Boolean, whether to copy the initial weights of that
            run too.

    Reference:

    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    keeps_layer_counts: ClassVar[bool] = True
    sees_blocks: ClassVar[bool] = True

    copy_mask_from: str | None = None
    initial_weights: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.initial_weights and self.copy_mask_from is None:
            raise InputError(
                "Argument `initial_weights` needs `copy_mask_from`. Received: "
                "initial_weights=True"
            )

    def period(self, training_length):
        del training_length

    def update(self, layers, state, *, event, seed):
        del event, seed
        return {key: layer.mask for key, layer in layers.items()}, state
