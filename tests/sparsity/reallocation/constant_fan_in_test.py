"""Structured RigL against a loop over neurons."""

import math

import numpy as np
import pytest

from cb.errors import InputError
from cb.schedules import PeriodicSchedule
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState

EVENT = Event(100, 0, PeriodicSchedule(100, 0, 10**9))


def top(positions, scores, number):
    return set(sorted(positions, key=lambda i: (-scores.flat[i], i))[:number])


def simulate(layer, budget, fraction, ablation):
    weights, gradients = np.abs(layer.weights), np.abs(layer.gradients)
    inputs, neurons = layer.mask.shape
    active = set(np.flatnonzero(layer.mask))
    inactive = set(range(layer.mask.size)) - active
    number = min(math.floor(fraction * len(active) + 1e-9), len(inactive))
    kept = top(active, weights, len(active) - number)
    salient = kept | top(inactive, gradients, number)
    column = [
        {row * neurons + neuron for row in range(inputs)}
        for neuron in range(neurons)
    ]
    alive = [j for j in range(neurons) if column[j] & active]
    fan_in = min(max(round(budget / len(alive)), 1), inputs)
    stays = [j for j in alive if len(column[j] & salient) >= ablation * fan_in]
    if not stays:
        stays = [max(alive, key=lambda j: (len(column[j] & salient), -j))]
    fan_in = min(max(round(budget / len(stays)), 1), inputs)
    new = np.zeros(layer.mask.size, bool)
    for j in stays:
        first = top(column[j] & kept, weights, fan_in)
        rest = top(column[j] - kept, gradients, fan_in - len(first))
        new[list(first | rest)] = True
    return new.reshape(layer.mask.shape)


@pytest.mark.parametrize("ablation", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("levels", [3, 1000])
def test_equals_the_loop_over_many_events(ablation, levels):
    random = np.random.default_rng(levels)
    algorithm = reallocation.build(
        f"constant_fan_in(ablation={ablation}, decay='constant')"
    )
    mask = random.random((20, 12)) < 0.3
    layers = {
        key: LayerState(np.zeros((20, 12), np.float32), mask) for key in "ab"
    }
    state = algorithm.init(layers)
    masks, state = algorithm.initial_masks(layers, state, seed=0)
    for number in range(10):
        layers = {
            key: LayerState(
                *(
                    (
                        random.integers(-levels, levels, size=(20, 12)) * part
                    ).astype(np.float32)
                    if part is not None
                    else masks[key]
                    for part in (masks[key], None, 1)
                )
            )
            for key in "ab"
        }
        # The last layer is never ablated.
        expected = {
            key: simulate(layers[key], mask.sum(), 0.3, rate)
            for key, rate in (("a", ablation), ("b", 0.0))
        }
        masks, state = algorithm.update(layers, state, event=EVENT, seed=number)
        for key in "ab":
            np.testing.assert_array_equal(masks[key], expected[key])
            fans = masks[key].sum(axis=0)
            assert len(set(fans[fans > 0])) == 1
        assert masks["b"].any(axis=0).all()
    assert (ablation < 0.9) or not masks["a"].any(axis=0).all()


def test_training_starts_with_a_constant_fan_in():
    random = np.random.default_rng(0)
    mask = random.random((3, 3, 4, 10)) < 0.25
    layers = {"a": LayerState(np.zeros(mask.shape, np.float32), mask)}
    algorithm = reallocation.build("constant_fan_in")
    masks, _ = algorithm.initial_masks(layers, algorithm.init(layers), seed=0)
    fans = masks["a"].reshape(-1, 10).sum(axis=0)
    assert set(fans) == {round(mask.sum() / 10)}


def test_a_fraction_out_of_range_is_refused():
    with pytest.raises(InputError, match="ablation=2"):
        reallocation.build("constant_fan_in(ablation=2)")


def test_a_mask_of_one_entry_a_neuron_has_no_choice():
    random = np.random.default_rng(0)
    layer = LayerState(random.normal(size=(1, 8)), np.arange(8)[None] < 2)
    algorithm = reallocation.build("constant_fan_in")
    with pytest.raises(InputError, match="several entries.*'0/kernel'"):
        algorithm.init({"0/kernel": layer})
