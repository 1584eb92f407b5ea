"""DeepR against a simulator that is told the noise and what was grown."""

import math

import numpy as np
import pytest

from cb.errors import InputError
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState

HORIZON = TrainingLength(1000, 10)


def event(algorithm, step=1):
    return Event(step, step - 1, algorithm.period(HORIZON), HORIZON)


def layer(seed=0, size=200, density=0.3):
    random = np.random.default_rng(seed)
    mask = random.random(size) < density
    weights = np.where(mask, random.normal(size=size), 0.0)
    return LayerState(weights.astype(np.float32), mask)


def step(algorithm, layers, state, number):
    now = event(algorithm, number)
    noisy = algorithm.perturb(layers, state, event=now, seed=number)
    masks, new_state = algorithm.update(noisy, state, event=now, seed=number)
    values = algorithm.values(noisy, masks, new_state, seed=number)
    return noisy, masks, new_state, values


def signs_of(state, size):
    signs = np.zeros(size)
    signs[state["position/a"]] = state["sign/a"]
    return signs


@pytest.mark.parametrize("sign", ["fixed", "adopted"])
@pytest.mark.parametrize("density", [0.05, 0.5, 0.97])
def test_equals_the_simulator_over_many_steps(sign, density):
    random = np.random.default_rng(1)
    algorithm = reallocation.build(
        f"deep_rewiring(eta=1.0, temperature=0.02, sign={sign!r})"
    )
    now = layer(density=density)
    state = algorithm.init({"a": now})
    signs = np.sign(now.weights) * now.mask
    restarts = 0
    for number in range(1, 60):
        noisy, masks, state, values = step(algorithm, {"a": now}, state, number)
        weights, mask = noisy["a"].weights, now.mask
        # The noise is on active positions only.
        np.testing.assert_array_equal(weights[~mask], now.weights[~mask])
        changed = {i for i in np.flatnonzero(mask) if weights[i] * signs[i] < 0}
        gone = set(np.flatnonzero(mask & ~masks["a"]))
        grown = set(np.flatnonzero(masks["a"] & ~mask))
        assert gone <= changed
        assert len(gone) == len(grown)
        assert len(gone) == min(len(changed), int((~mask).sum()))
        expected = np.where(masks["a"], weights, 0.0)
        for i in grown | (changed - gone):
            expected[i] = 0.0
        restarts += len(changed - gone)
        np.testing.assert_array_equal(
            np.where(masks["a"], values["a"], 0.0), expected
        )
        for i in np.flatnonzero(mask):
            if signs[i] == 0:
                signs[i] = np.sign(weights[i])
        signs[list(gone)] = 0
        drawn = signs_of(state, mask.size)
        if sign == "adopted":
            assert not drawn[list(grown)].any()
        else:
            assert set(drawn[list(grown)]) <= {-1, 1}
        signs[list(grown)] = drawn[list(grown)]
        np.testing.assert_array_equal(drawn, signs)
        # A step of training in between.
        moved = expected + 0.1 * random.normal(size=mask.size)
        now = LayerState(
            np.where(masks["a"], moved, 0.0).astype(np.float32), masks["a"]
        )
    assert (restarts > 0) == (density == 0.97)


# The published code drops half of all connections at its first step.
def test_the_first_step_drops_next_to_nothing():
    algorithm = reallocation.build("deep_rewiring")
    now = layer(size=10000)
    state = algorithm.init({"a": now})
    _, masks, _, _ = step(algorithm, {"a": now}, state, 1)
    assert (now.mask & ~masks["a"]).sum() < 0.01 * now.mask.sum()


def test_the_deviation_of_the_noise():
    algorithm = reallocation.build("deep_rewiring(eta=0.01, temperature=1e-5)")
    assert algorithm.deviation(event(algorithm)) == pytest.approx(
        4.472e-4, rel=1e-4
    )
    now = layer(size=100000)
    noisy = algorithm.perturb(
        {"a": now},
        algorithm.init({"a": now}),
        event=event(algorithm),
        seed=0,
    )["a"]
    noise = (noisy.weights - now.weights)[now.mask]
    assert noise.std() == pytest.approx(4.472e-4, rel=0.02)


def test_the_temperature_follows_the_epochs():
    algorithm = reallocation.build(
        "deep_rewiring(eta=0.5, temperature={0: 4.0, 2: 1.0, 5: 0.0})"
    )
    # Ten steps an epoch: step 20 is the last of epoch 1.
    for number, expected in ((1, 2.0), (20, 2.0), (21, 1.0), (51, 0.0)):
        assert algorithm.deviation(event(algorithm, number)) == expected


def test_noise_differs_from_step_to_step_and_layer_to_layer():
    algorithm = reallocation.build("deep_rewiring")
    layers = {"a": layer(), "b": layer()}
    state = algorithm.init(layers)
    draws = [
        algorithm.perturb(layers, state, event=event(algorithm), seed=seed)[key]
        for seed in (1, 2)
        for key in layers
    ]
    assert len({draw.weights.tobytes() for draw in draws}) == 4


def test_a_grown_weight_is_not_dropped_before_it_has_a_sign():
    algorithm = reallocation.build(
        "deep_rewiring(temperature=0.0, sign='adopted')"
    )
    mask = np.array([True, True, False])
    now = LayerState(np.array([1.0, -1.0, 0.0], np.float32), mask)
    state = algorithm.init({"a": now})
    flipped = now._replace(weights=np.array([1.0, 1.0, 0.0], np.float32))
    _, masks, state, values = step(algorithm, {"a": flipped}, state, 1)
    np.testing.assert_array_equal(masks["a"], [True, False, True])
    np.testing.assert_array_equal(values["a"][masks["a"]], [1.0, 0.0])
    for weight in (0.0, -0.5, -0.25):
        now = LayerState(np.array([1.0, 0.0, weight], np.float32), masks["a"])
        _, masks, state, _ = step(algorithm, {"a": now}, state, 2)
        np.testing.assert_array_equal(masks["a"], [True, False, True])
    now = LayerState(np.array([1.0, 0.0, 0.1], np.float32), masks["a"])
    _, masks, state, _ = step(algorithm, {"a": now}, state, 3)
    np.testing.assert_array_equal(masks["a"], [True, True, False])


def test_a_full_layer_is_left_alone():
    algorithm = reallocation.build("deep_rewiring(temperature=1.0, eta=1.0)")
    now = LayerState(np.array([0.1, -0.1], np.float32), np.ones(2, bool))
    state = algorithm.init({"a": now})
    flipped = now._replace(weights=-now.weights)
    _, masks, _, values = step(algorithm, {"a": flipped}, state, 1)
    assert masks["a"].all()
    np.testing.assert_array_equal(values["a"], flipped.weights)


def test_stop_ends_the_events():
    period = reallocation.build("deep_rewiring(stop='90ep')").period(HORIZON)
    assert period.next(899) == 900
    assert period.next(900) is None


@pytest.mark.parametrize("sign", ["fixed", "adopted"])
def test_a_weight_of_zero_stays(sign):
    algorithm = reallocation.build(
        f"deep_rewiring(temperature=0.0, sign={sign!r})"
    )
    now = LayerState(np.zeros(3, np.float32), np.array([True, True, False]))
    state = algorithm.init({"a": now})
    _, masks, _, _ = step(algorithm, {"a": now}, state, 1)
    np.testing.assert_array_equal(masks["a"], now.mask)


def test_new_signs_are_drawn_evenly():
    algorithm = reallocation.build("deep_rewiring(temperature=0.0)")
    mask = np.arange(20000) < 10000
    now = LayerState(np.where(mask, 1.0, 0.0).astype(np.float32), mask)
    state = algorithm.init({"a": now})
    flipped = now._replace(weights=-now.weights)
    _, masks, state, _ = step(algorithm, {"a": flipped}, state, 1)
    assert (masks["a"] & mask).sum() == 0
    assert abs(int(state["sign/a"].sum(dtype=int))) < 5 * math.sqrt(10000)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("deep_rewiring(eta=-1.0)", r"eta=-1\.0"),
        ("deep_rewiring(temperature={0: -1.0})", r"temperature=\{0: -1\.0\}"),
        ("deep_rewiring(temperature={})", "not empty.*temperature={}"),
        ("deep_rewiring(sign='fix')", "Did you mean 'fixed'"),
    ],
)
def test_bad_hyperparameters_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        reallocation.build(spec)


@pytest.mark.parametrize("sign", ["fixed", "adopted"])
def test_grown_weights_start_at_zero_where_dropped_ones_have_drifted(sign):
    algorithm = reallocation.build(
        f"deep_rewiring(eta=1.0, temperature=0.1, sign={sign!r}, "
        "reset_momentum=False)"
    )
    now, random = layer(), np.random.default_rng(2)
    state, grown = algorithm.init({"a": now}), 0
    for number in range(1, 20):
        drift = random.normal(size=now.mask.size).astype(np.float32)
        now = now._replace(weights=np.where(now.mask, now.weights, drift))
        noisy, masks, state, values = step(algorithm, {"a": now}, state, number)
        new, kept = masks["a"] & ~now.mask, masks["a"] & now.mask
        grown += new.sum()
        assert not values["a"][new].any()
        np.testing.assert_array_equal(
            values["a"][kept], noisy["a"].weights[kept]
        )
        now = LayerState(values["a"], masks["a"])
    assert grown
