"""Dynamic sparse reparameterization (DSR)."""

import dataclasses
import math
from typing import ClassVar
from typing import Literal

import numpy as np

from cb import seeds
from cb.registry import Count
from cb.registry import Fraction
from cb.registry import Positive
from cb.sparsity import distributions
from cb.sparsity import masks
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.drop_and_grow import Periodic

SMALLEST_THRESHOLD = 1e-8


@REGISTRY.register("dynamic_sparse")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicSparse(Periodic):
    """Prunes by one threshold and regrows where most connections survive.

    The threshold is halved when an event prunes more than 1.1 times the
    wanted number and doubled below 0.9 times. Connections regrow at random,
    not where they were just pruned, in proportion to the survivors of each
    layer; their total never changes. Where an entry of a mask stands
    for a block of weights, blocks are pruned by their mean absolute weight
    and numbers count blocks.

    Args:
        pruned: Number of connections to prune per event; a number below 1 is
            a fraction of all active ones.
        threshold: Float, the initial threshold.
        prune: `"threshold"`, or `"fraction"`: the `fraction` smallest of
            every layer.
        fraction: Float in [0, 1], of a layer's active connections.
        regrow: `"across"` layers, or `"within"`: in each layer as many as
            were pruned there.
        minimum: Integer, the least number of connections that a layer keeps,
            its largest.
        published: Boolean, whether `"fraction"` prunes one connection more.
        **kwargs: As in `Periodic`.

    Reference:

    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    sees_blocks: ClassVar[bool] = True

    pruned: Positive = 0.1
    threshold: Positive = 1e-3
    prune: Literal["threshold", "fraction"] = "threshold"
    fraction: Fraction = 0.1
    regrow: Literal["across", "within"] = "across"
    minimum: Count = 1
    published: bool = False

    def init(self, layers):
        del layers
        return {"threshold": np.float64(self.threshold)}

    def metrics(self, state):
        return {"threshold": float(state["threshold"])}

    def update(self, layers, state, *, event, seed):
        del event
        scores = {key: np.abs(layer.weights) for key, layer in layers.items()}
        active = {key: layer.mask for key, layer in layers.items()}
        kept = self._kept(scores, active, float(state["threshold"]))
        grown = self._grown(active, kept, seed)
        return {key: kept[key] | grown[key] for key in layers}, {
            "threshold": self._controlled(scores, active, kept, state)
        }

    def _kept(self, scores, active, threshold):
        room = {
            key: mask.size - masks.count(mask) for key, mask in active.items()
        }
        kept = {}
        for key, mask in active.items():
            number = masks.count(mask)
            least = min(self.minimum, number)
            if self.regrow == "within":
                least = max(least, number - room[key])
            if self.prune == "threshold":
                kept[key] = mask & (scores[key] >= threshold)
                left = masks.count(kept[key])
            else:
                drop = round(self.fraction * number, 9) + self.published
                left = number - math.floor(drop)
            if key not in kept or left < least:
                left = max(left, least)
                kept[key] = masks.keep_top(scores[key], left, mask)
        total = sum(masks.count(mask) for mask in active.values())
        survivors = sum(masks.count(mask) for mask in kept.values())
        excess = total - survivors - sum(room.values())
        if excess <= 0:
            return kept
        # More are pruned than can grow elsewhere: the largest come back.
        gone = {key: active[key] & ~kept[key] for key in active}
        back = masks.keep_top_across(scores, excess, gone, minimum=0)
        return {key: kept[key] | back[key] for key in active}

    def _grown(self, active, kept, seed):
        survivors = {key: masks.count(mask) for key, mask in kept.items()}
        gone = {key: masks.count(active[key]) - survivors[key] for key in kept}
        numbers = gone
        if self.regrow == "across":
            numbers = distributions.apportion(
                survivors,
                sum(gone.values()),
                {k: m.size - masks.count(m) for k, m in active.items()},
            )
        return {
            key: masks.choose(
                ~mask, numbers[key], seeds.generator(seed, "grow", key)
            )
            for key, mask in active.items()
        }

    def _controlled(self, scores, active, kept, state) -> np.float64:
        total = sum(masks.count(mask) for mask in active.values())
        number = total - sum(masks.count(mask) for mask in kept.values())
        wanted = self.pruned * (total if self.pruned < 1 else 1)
        threshold = next_threshold(float(state["threshold"]), number, wanted)
        largest = max(
            (scores[key] * mask).max(initial=0.0)
            for key, mask in active.items()
        )
        return np.float64(
            max(min(threshold, float(largest)), SMALLEST_THRESHOLD)
        )


def next_threshold(threshold: float, pruned: int, wanted: float) -> float:
    """Halve or double a threshold that prunes too much or too little."""
    if pruned > 1.1 * wanted:
        return threshold / 2.0
    if pruned < 0.9 * wanted:
        return threshold * 2.0
    return threshold
