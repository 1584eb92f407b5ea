"""Sparse momentum against a plain simulator."""

import math

import numpy as np
import pytest

from cb.errors import InputError
from cb.schedules import PeriodicSchedule
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState


def layer(random, density, size=60):
    mask = random.random(size) < density
    weights = np.where(mask, random.normal(size=size), 0.0)
    return LayerState(
        weights.astype(np.float32),
        mask,
        momentum=random.normal(size=size).astype(np.float32),
    )


def simulate(layers, fraction, redistribute, shares="kept"):
    kept, gone = {}, {}
    for key, (weights, mask, _, _, _) in layers.items():
        active = sorted(np.flatnonzero(mask), key=lambda i: -abs(weights[i]))
        drop = min(math.floor(fraction * len(active) + 1e-9), len(active) - 1)
        gone[key] = drop
        kept[key] = active[: len(active) - drop]
    numbers = gone
    if redistribute:
        shown = kept
        if shares == "active":
            shown = {key: np.flatnonzero(layers[key].mask) for key in layers}
        mean = {
            key: np.abs(layers[key].momentum[shown[key]]).astype(float).mean()
            for key in layers
        }
        total = sum(gone.values())
        exact = {k: total * mean[k] / sum(mean.values()) for k in mean}
        numbers = {key: math.floor(value) for key, value in exact.items()}
        for key in sorted(exact, key=lambda k: numbers[k] - exact[k]):
            if sum(numbers.values()) < total:
                numbers[key] += 1
    masks = {}
    for key in layers:
        momentum = np.abs(layers[key].momentum)
        free = [i for i in range(momentum.size) if i not in set(kept[key])]
        grown = sorted(free, key=lambda i: -momentum[i])[: numbers[key]]
        masks[key] = np.zeros(momentum.size, bool)
        masks[key][list(kept[key]) + grown] = True
    return masks


@pytest.mark.parametrize("shares", ["kept", "active"])
@pytest.mark.parametrize("redistribute", [True, False])
@pytest.mark.parametrize("step", [100, 500, 1000])
def test_equals_the_simulator(redistribute, step, shares):
    random = np.random.default_rng(step)
    layers = {
        str(number): layer(random, density)
        for number, density in enumerate((0.1, 0.3, 0.5))
    }
    algorithm = reallocation.build(
        f"snfs(redistribute={redistribute}, shares={shares!r})"
    )
    factor = 0.5 * (1 + math.cos(math.pi * step / 1000))
    fraction = 0.005 + factor * (0.5 - 0.005)
    masks, _ = algorithm.update(
        layers, {}, event=Event(step, 0, PeriodicSchedule(100, 0, 1000)), seed=0
    )
    expected_masks = simulate(layers, fraction, redistribute, shares)
    for key, expected in expected_masks.items():
        np.testing.assert_array_equal(masks[key], expected)


def test_a_layer_without_room_leaves_its_part_to_the_others():
    random = np.random.default_rng(0)
    layers = {"full": layer(random, 2.0), "free": layer(random, 0.2)}
    loud = layers["full"]._replace(momentum=np.full(60, 1e3, np.float32))
    layers["full"] = loud
    before = sum(each.mask.sum() for each in layers.values())
    masks, _ = reallocation.build("snfs").update(
        layers, {}, event=Event(1, 0, PeriodicSchedule(100, 0, 1000)), seed=0
    )
    assert masks["full"].all()
    assert sum(mask.sum() for mask in masks.values()) == before


def test_layers_without_momentum_share_alike():
    random = np.random.default_rng(0)
    layers = {
        key: layer(random, 0.5)._replace(momentum=np.zeros(60, np.float32))
        for key in "ab"
    }
    before = sum(each.mask.sum() for each in layers.values())
    masks, _ = reallocation.build("snfs").update(
        layers, {}, event=Event(1, 0, PeriodicSchedule(100, 0, 1000)), seed=0
    )
    assert sum(mask.sum() for mask in masks.values()) == before


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("snfs(drop_fraction=2)", "drop_fraction=2"),
        ("snfs(final_fraction=-1)", "final_fraction=-1"),
        ("snfs(minimum=0)", "minimum=0"),
    ],
)
def test_bad_hyperparameters_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        reallocation.build(spec)
