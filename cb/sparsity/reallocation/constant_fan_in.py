"""Structured RigL: a constant fan-in, with ablation of neurons."""

import dataclasses
from typing import ClassVar

import numpy as np

from cb import seeds
from cb.errors import InputError
from cb.registry import Fraction
from cb.sparsity import masks
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.drop_and_grow import DropAndGrow


@REGISTRY.register("constant_fan_in")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ConstantFanIn(DropAndGrow):
    """Moves connections as RigL does, as many into every active neuron.

    Neurons lie along the last axis of the kernel. A neuron is ablated when
    fewer than `ablation` of its connections are salient, that is, kept for
    their weight or wanted for their gradient; its connections go to the
    others. The number of a layer is rounded to a multiple of its neurons.

    Args:
        ablation: Float in [0, 1]; 0 ablates no neuron. Those of the last
            layer are never ablated.
        **kwargs: As in `DropAndGrow`.

    Reference:

    - [Lasby et al., 2024](https://arxiv.org/abs/2305.02299)
    """

    needs_gradients: ClassVar[bool] = True
    at_start: ClassVar[bool] = True
    keeps_count: ClassVar[bool] = False
    keeps_layer_counts: ClassVar[bool] = False

    ablation: Fraction = 0.3

    def init(self, layers):
        for key, layer in layers.items():
            if layer.mask.size == layer.mask.shape[-1] and not layer.mask.all():
                raise InputError(
                    "Algorithm `constant_fan_in` needs several entries of a "
                    "mask for each neuron, so that some of them can be active. "
                    f"Received: a mask of shape {layer.mask.shape} for {key!r}"
                )
        counts = {
            f"count/{key}": np.int64(masks.count(layer.mask))
            for key, layer in layers.items()
        }
        return {**super().init(layers), **counts}

    def initial_masks(self, layers, state, *, seed):
        new_masks, new_state = {}, dict(state)
        for key, layer in layers.items():
            random = seeds.generator(seed, "start", key)
            mask = layer.mask.reshape(-1, layer.mask.shape[-1])
            neurons = mask.shape[1]
            fan_in = _fan_in(int(state[f"count/{key}"]), neurons, mask)
            noise = random.random(mask.shape, np.float32)
            chosen = _fill(mask, noise, noise, np.ones(neurons, bool), fan_in)
            new_masks[key] = chosen.reshape(layer.mask.shape)
            new_state[f"explored/{key}"] = new_masks[key]
        return new_masks, new_state

    def update(self, layers, state, *, event, seed):
        del seed
        fraction = self._fraction(event)
        last = list(layers)[-1]
        new_masks, new_state = {}, dict(state)
        for key, layer in layers.items():
            budget = int(state[f"count/{key}"])
            ablation = 0.0 if key == last else self.ablation
            new = _rewired(layer, budget, fraction, ablation)
            new_masks[key] = new
            new_state[f"explored/{key}"] = state[f"explored/{key}"] | new
        return new_masks, new_state


def _rewired(layer, budget, fraction, ablation) -> np.ndarray:
    neurons = layer.mask.shape[-1]
    mask = layer.mask.reshape(-1, neurons)
    magnitude = np.abs(layer.weights).reshape(mask.shape)
    gradient = np.abs(layer.gradients).reshape(mask.shape)
    active = masks.count(mask)
    number = min(int(round(fraction * active, 9)), mask.size - active)
    kept = masks.keep_top(magnitude, active - number, mask)
    wanted = masks.keep_top(gradient, number, ~mask)
    alive = mask.any(axis=0)
    salient = (kept | wanted).sum(axis=0)
    fan_in = _fan_in(budget, masks.count(alive), mask)
    stays = alive & (salient >= ablation * fan_in)
    if not stays.any():
        stays = masks.keep_top(salient.astype(float), 1, alive)
    fan_in = _fan_in(budget, masks.count(stays), mask)
    new = _fill(kept, magnitude, gradient, stays, fan_in)
    return new.reshape(layer.mask.shape)


def _fan_in(budget: int, neurons: int, mask: np.ndarray) -> int:
    return min(max(round(budget / neurons), 1), mask.shape[0])


def _fill(first, first_scores, scores, neurons, fan_in) -> np.ndarray:
    """Choose `fan_in` rows of each column, those of `first` before others.

    Args:
        first: Boolean array `(inputs, neurons)`.
        first_scores: Float array that ranks the positions of `first`, not
            negative.
        scores: Float array that ranks the others, not negative.
        neurons: Boolean array `(neurons,)`, the columns to fill.
        fan_in: Integer.

    Returns:
        Boolean array `(inputs, neurons)`. Ties go to the lower index.
    """
    rows = first.shape[0]
    # One integer orders all: what is first, the bits of a float that is not
    # negative, which are ordered as it is, and the lower index.
    bits = np.where(first, first_scores, scores).T.astype(np.float32, order="C")
    keys = bits.view(np.uint32).astype(np.uint64) << np.uint64(31)
    keys |= first.T.astype(np.uint64) << np.uint64(63)
    keys |= np.arange(rows, 0, -1, dtype=np.uint64)
    lowest = np.partition(keys, rows - fan_in, axis=1)[:, rows - fan_in]
    return np.ascontiguousarray((keys >= lowest[:, None]).T) & neurons
