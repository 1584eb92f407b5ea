"""DSR against a simulator that is told where connections grew."""

import math

import numpy as np
import pytest

from cb.errors import InputError
from cb.schedules import PeriodicSchedule
from cb.schedules import TrainingLength
from cb.sparsity import distributions
from cb.sparsity import granularity
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState
from cb.sparsity.reallocation.dynamic_sparse import next_threshold


def event(step=100):
    return Event(step, step // 100 - 1, PeriodicSchedule(100, 0, 10**6))


def random_layers(seed, densities=(0.1, 0.5, 0.9), size=120):
    random = np.random.default_rng(seed)
    layers = {}
    for number, density in enumerate(densities):
        mask = random.random((size // 10, 10)) < density
        weights = np.where(mask, random.normal(size=mask.shape), 0.0)
        layers[str(number)] = LayerState(weights.astype(np.float32), mask)
    return layers


def hamilton(weights, total, capacity):
    """Give whole parts, then one each to the largest remainders."""
    given = dict.fromkeys(weights, 0)
    fixed = {}
    while True:
        free = [key for key in weights if key not in fixed]
        left = total - sum(fixed.values())
        scale = sum(weights[key] for key in free)
        exact = {key: left * weights[key] / scale for key in free}
        over = [key for key in free if exact[key] > capacity[key]]
        if not over:
            break
        fixed.update({key: capacity[key] for key in over})
    given.update(fixed)
    given.update(
        {key: math.floor(value + 1e-9) for key, value in exact.items()}
    )
    remainders = sorted(free, key=lambda key: given[key] - exact[key])
    while sum(given.values()) < total:
        for key in remainders:
            if given[key] < capacity[key] and sum(given.values()) < total:
                given[key] += 1
    return given


def simulate_kept(layers, prune, threshold, fraction, minimum):
    kept = {}
    for key, layer in layers.items():
        magnitude = np.abs(layer.weights).reshape(-1)
        active = sorted(
            np.flatnonzero(layer.mask), key=lambda i: (-magnitude[i], i)
        )
        if prune == "threshold":
            stay = sum(magnitude[i] >= threshold for i in active)
        else:
            stay = len(active) - math.floor(fraction * len(active) + 1e-9)
        kept[key] = set(active[: max(stay, min(minimum, len(active)))])
    return kept


@pytest.mark.parametrize("prune", ["threshold", "fraction"])
@pytest.mark.parametrize("regrow", ["across", "within"])
def test_equals_the_simulator_over_many_events(prune, regrow):
    random = np.random.default_rng(0)
    algorithm = reallocation.build(
        f"dynamic_sparse(prune={prune!r}, regrow={regrow!r}, fraction=0.2, "
        "threshold=0.3, pruned=15, minimum=3)"
    )
    layers = random_layers(1, densities=(0.1, 0.3, 0.5))
    total = sum(layer.mask.sum() for layer in layers.values())
    state, threshold = algorithm.init(layers), 0.3
    for number in range(30):
        kept = simulate_kept(layers, prune, threshold, 0.2, 3)
        masks, state = algorithm.update(
            layers, state, event=event(), seed=number
        )
        gone, grown = {}, {}
        for key, layer in layers.items():
            stays = set(np.flatnonzero(masks[key] & layer.mask))
            assert stays == kept[key]
            gone[key] = int(layer.mask.sum()) - len(stays)
            grown[key] = int((masks[key] & ~layer.mask).sum())
        expected = gone
        if regrow == "across":
            expected = hamilton(
                {key: len(kept[key]) for key in kept},
                sum(gone.values()),
                {key: int((~layers[key].mask).sum()) for key in layers},
            )
        assert grown == expected
        pruned = sum(gone.values())
        if pruned > 16.5:
            threshold /= 2
        elif pruned < 13.5:
            threshold *= 2
        largest = max(np.abs(layer.weights).max() for layer in layers.values())
        threshold = max(min(threshold, float(largest)), 1e-8)
        assert float(state["threshold"]) == pytest.approx(threshold)
        layers = {
            key: LayerState(
                (random.normal(size=mask.shape) * mask).astype(np.float32),
                mask,
            )
            for key, mask in masks.items()
        }
        assert sum(mask.sum() for mask in masks.values()) == total


# Strictly below the threshold.
def test_the_threshold_rule():
    weights = np.array([0.0, 0.0005, 0.001, 0.0011, 0, 0, 0], np.float32)
    mask = np.arange(7) < 4
    algorithm = reallocation.build("dynamic_sparse")
    layers = {"a": LayerState(weights, mask)}
    masks, _ = algorithm.update(
        layers, algorithm.init(layers), event=event(), seed=0
    )
    assert set(np.flatnonzero(masks["a"] & mask)) == {2, 3}
    assert masks["a"].sum() == 4


@pytest.mark.parametrize(
    ("pruned", "factor"),
    [(22001, 0.5), (22000, 1.0), (18000, 1.0), (17999, 2.0)],
)
def test_the_controller(pruned, factor):
    assert next_threshold(1e-3, pruned, 20000) == pytest.approx(1e-3 * factor)


def test_the_threshold_stays_in_bounds():
    layers = random_layers(0)
    high = reallocation.build("dynamic_sparse(pruned=100000, threshold=2.0)")
    low = reallocation.build("dynamic_sparse(pruned=1e-9, threshold=1.0)")
    states = [high.init(layers), low.init(layers)]
    for _ in range(50):
        for number, algorithm in enumerate((high, low)):
            _, states[number] = algorithm.update(
                layers, states[number], event=event(), seed=0
            )
    largest = max(np.abs(layer.weights).max() for layer in layers.values())
    assert float(states[0]["threshold"]) == pytest.approx(float(largest))
    # The smallest weight is next to this: nothing is pruned below it.
    smallest = min(
        np.abs(layer.weights[layer.mask]).min() for layer in layers.values()
    )
    assert 1e-8 <= float(states[1]["threshold"]) <= smallest * 2


# Raw rounding gives 573, 79 and 3, one too many.
def test_growth_is_shared_out_exactly():
    shares = distributions.apportion(
        {"a": 4000, "b": 550, "c": 18}, 654, dict.fromkeys("abc", 10**6)
    )
    assert shares == {"a": 573, "b": 79, "c": 2}


# The published fraction rule: one more, even of nothing.
@pytest.mark.parametrize(
    ("active", "fraction", "exact", "published"),
    [(100, 0.1, 10, 11), (1, 0.1, 0, 1), (4608, 0.0, 0, 1)],
)
def test_the_fraction_rule(active, fraction, exact, published):
    mask = np.arange(2 * active) < active
    layers = {"a": LayerState(mask.astype(np.float32), mask)}
    for expected, extra in ((exact, False), (published, True)):
        # A layer of one weight keeps it, whatever the published rule says.
        expected = min(expected, active - 1)
        algorithm = reallocation.build(
            f"dynamic_sparse(prune='fraction', fraction={fraction}, "
            f"regrow='within', published={extra})"
        )
        masks, _ = algorithm.update(
            layers, algorithm.init(layers), event=event(), seed=0
        )
        assert (mask & ~masks["a"]).sum() == expected
        assert masks["a"].sum() == active


def test_a_full_model_ends_and_stays_full():
    layers = {"a": LayerState(np.zeros(9, np.float32), np.ones(9, bool))}
    for regrow in ("across", "within"):
        algorithm = reallocation.build(f"dynamic_sparse(regrow={regrow!r})")
        masks, _ = algorithm.update(
            layers, algorithm.init(layers), event=event(), seed=0
        )
        assert masks["a"].all()


def test_a_layer_keeps_its_largest():
    weights = np.array([1e-5, 3e-5, 2e-5, 0, 0, 0], np.float32)
    layers = {"a": LayerState(weights, np.arange(6) < 3)}
    algorithm = reallocation.build("dynamic_sparse(minimum=2)")
    masks, _ = algorithm.update(
        layers, algorithm.init(layers), event=event(), seed=0
    )
    assert set(np.flatnonzero(masks["a"][:3])) == {1, 2}


def test_cells_are_pruned_by_their_mean_magnitude():
    """The spatial slices of a convolution, of granularity 2 as published."""
    random = np.random.default_rng(0)
    blocks = random.random((6, 8)) < 0.5
    kernel = (random.normal(size=(3, 3, 6, 8)) * blocks).astype(np.float32)
    block = granularity.block_shape("slice", kernel.shape, spatial=2)
    layers = {
        "conv": LayerState(
            granularity.block_scores(kernel, block), blocks[None, None]
        ),
        "dense": random_layers(1, densities=(0.4,))["0"],
    }
    algorithm = reallocation.build("dynamic_sparse(threshold=0.7, pruned=10)")
    masks, _ = algorithm.update(
        layers, algorithm.init(layers), event=event(), seed=0
    )
    mean = np.abs(kernel).mean(axis=(0, 1))
    stays = masks["conv"][0, 0] & blocks
    np.testing.assert_array_equal(stays, blocks & (mean >= 0.7))
    before = blocks.sum() + layers["dense"].mask.sum()
    assert masks["conv"].sum() + masks["dense"].sum() == before


# CIFAR-10 with batches of 100, ImageNet with 256, MNIST with 100.
@pytest.mark.parametrize(
    ("periods", "stop", "epochs", "steps", "events"),
    [
        ({0: 100, 25: 200, 80: 400, 140: 800}, 190, 200, 500, 367),
        ({0: 1000, 25: 2000, 50: 4000, 75: 8000}, 95, 100, 5005, 232),
        ({0: 100, 25: 200, 50: 400, 75: 800}, 90, 100, 600, 273),
    ],
)
def test_the_published_number_of_events(periods, stop, epochs, steps, events):
    algorithm = reallocation.build(
        f"dynamic_sparse(every={periods}, end='{stop}ep')"
    )
    period = algorithm.period(TrainingLength(epochs * steps, steps))
    due = []
    while (step := period.next(due[-1] if due else 0)) is not None:
        due.append(step)
    assert len(due) == events
    assert due[0] == periods[0]
    # Those of an epoch follow the period of that epoch.
    assert all(
        step % periods[max(e for e in periods if e <= step // steps)] == 0
        for step in due
    )
    assert due[-1] < stop * steps


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dynamic_sparse(pruned=0)", "pruned=0"),
        ("dynamic_sparse(threshold=-1.0)", r"threshold=-1\.0"),
        ("dynamic_sparse(minimum=0)", "minimum=0"),
        ("dynamic_sparse(prune='thresh')", "Did you mean 'threshold'"),
        ("dynamic_sparse(regrow='inside')", "Received: regrow='inside'"),
        ("dynamic_sparse(every={0: 0})", "every="),
        ("dynamic_sparse(every={})", "every="),
    ],
)
def test_bad_hyperparameters_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        reallocation.build(spec)
