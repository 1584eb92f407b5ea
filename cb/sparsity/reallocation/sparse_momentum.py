"""Sparse networks from scratch (sparse momentum)."""

import dataclasses
from typing import ClassVar
from typing import Literal

import numpy as np

from cb import schedules
from cb.registry import Count
from cb.registry import Fraction
from cb.sparsity import distributions
from cb.sparsity import masks
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.drop_and_grow import Periodic


@REGISTRY.register("snfs")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseMomentum(Periodic):
    """Drops the smallest weights, grows where the momentum is largest.

    The number dropped in all layers together is shared out in proportion to
    the mean absolute momentum of the kept weights. It needs an optimizer
    with momentum, which is that of all weights.

    Args:
        drop_fraction: Float in [0, 1], of a layer's active connections, at
            the start.
        final_fraction: Float in [0, 1], the same at the end; a cosine lies
            between.
        redistribute: Boolean, whether connections move across layers.
        shares: `"kept"` takes the mean of the kept weights, `"active"` that
            of all weights that were active before the event, as the
            published code does.
        minimum: Integer, connections that a layer keeps.
        **kwargs: As in `Periodic`.

    Reference:

    - [Dettmers and Zettlemoyer, 2019](https://arxiv.org/abs/1907.04840)
    """

    straight_through: ClassVar[bool] = True
    needs_momentum: ClassVar[bool] = True
    sees_blocks: ClassVar[bool] = True

    drop_fraction: Fraction = 0.5
    final_fraction: Fraction = 0.005
    redistribute: bool = True
    shares: Literal["kept", "active"] = "kept"
    minimum: Count = 1

    def update(self, layers, state, *, event, seed):
        del seed
        period = event.period
        factor = schedules.decay("cosine", event.step, period.start, period.end)
        fraction = self.final_fraction + factor * (
            self.drop_fraction - self.final_fraction
        )
        kept = {
            key: self._kept(layer, fraction) for key, layer in layers.items()
        }
        magnitudes = {
            key: np.abs(layer.momentum) for key, layer in layers.items()
        }
        numbers = self._numbers(layers, kept, magnitudes)
        return {
            key: mask | masks.keep_top(magnitudes[key], numbers[key], ~mask)
            for key, mask in kept.items()
        }, state

    def _kept(self, layer, fraction):
        active = masks.count(layer.mask)
        left = active - int(round(fraction * active, 9))
        left = max(left, min(self.minimum, active))
        return masks.keep_top(np.abs(layer.weights), left, layer.mask)

    def _numbers(self, layers, kept, magnitudes) -> dict[str, int]:
        """Return the number of connections to grow in each layer."""
        left = {key: masks.count(mask) for key, mask in kept.items()}
        gone = {
            key: masks.count(layers[key].mask) - left[key] for key in layers
        }
        if not self.redistribute:
            return gone
        shown = kept
        if self.shares == "active":
            shown = {key: layer.mask for key, layer in layers.items()}
        weights = {
            key: float(np.sum(magnitudes[key][mask], dtype=float))
            / masks.count(mask)
            for key, mask in shown.items()
        }
        room = {key: mask.size - left[key] for key, mask in kept.items()}
        return distributions.apportion(weights, sum(gone.values()), room)
