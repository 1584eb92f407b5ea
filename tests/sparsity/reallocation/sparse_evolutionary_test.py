"""SET against a plain simulator that is told what was grown."""

import math

import numpy as np
import pytest

from cb.errors import InputError
from cb.schedules import PeriodicSchedule
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState


def event(step=100):
    return Event(step, step // 100 - 1, PeriodicSchedule(100, 0, 1000))


def kept_by_magnitude(weights, mask, number):
    active = np.flatnonzero(mask)
    order = sorted(active, key=lambda i: (-abs(weights.flat[i]), i))
    return set(order[: len(active) - number])


def kept_by_sign(weights, mask, number):
    """Drop the same part of either sign, nearest to zero first."""
    active = np.flatnonzero(mask)
    negative = [i for i in active if weights.flat[i] < 0]
    positive = [i for i in active if weights.flat[i] >= 0]
    from_negative = round(number * len(negative) / len(active))
    from_negative = min(from_negative, len(negative))
    from_positive = min(number - from_negative, len(positive))
    from_negative = number - from_positive
    kept = []
    for group, drop in ((negative, from_negative), (positive, from_positive)):
        group = sorted(group, key=lambda i: (-abs(weights.flat[i]), i))
        kept += group[: len(group) - drop]
    return set(kept)


@pytest.mark.parametrize("rule", ["magnitude", "sign"])
@pytest.mark.parametrize("levels", [2, 1000])
@pytest.mark.parametrize("density", [0.1, 0.4, 0.9])
def test_equals_the_simulator_over_many_events(rule, levels, density):
    random = np.random.default_rng(levels)
    algorithm = reallocation.build(f"set(drop_fraction=0.5, rule={rule!r})")
    mask = random.random((8, 12)) < density
    kept_by = kept_by_sign if rule == "sign" else kept_by_magnitude
    for number in range(10):
        weights = (
            random.integers(-levels, levels, size=mask.shape) * mask
        ).astype(np.float32)
        step = 100 * (number + 1)
        factor = 0.5 * (1 + math.cos(math.pi * step / 1000))
        dropped = math.floor(0.5 * factor * mask.sum() + 1e-9)
        dropped = min(dropped, int((~mask).sum()))
        new, _ = algorithm.update(
            {"a": LayerState(weights, mask)},
            {"explored/a": mask},
            event=event(step),
            seed=number,
        )
        grown = np.flatnonzero(new["a"] & ~mask)
        kept = np.flatnonzero(new["a"] & mask)
        assert set(kept) == kept_by(weights, mask, dropped)
        assert len(grown) == dropped
        mask = new["a"]


# The published rule turned 118 connections into 18; 82 + 36 are right.
def test_the_sign_rule_loses_no_connections():
    random = np.random.default_rng(0)
    weights = np.zeros(300, np.float32)
    weights[:118] = random.normal(size=118)
    mask = np.arange(300) < 118
    algorithm = reallocation.build(
        "set(drop_fraction=0.3, rule='sign', decay='constant')"
    )
    new, _ = algorithm.update(
        {"a": LayerState(weights, mask)},
        {"explored/a": mask},
        event=event(),
        seed=0,
    )
    assert new["a"].sum() == 118
    assert (new["a"] & mask).sum() == 118 - 35


def test_the_sign_rule_takes_both_signs_when_one_is_missing():
    weights = np.array([1.0, 2.0, 3.0, 4.0, 0.0, 0.0], np.float32)
    mask = np.array([1, 1, 1, 1, 0, 0], bool)
    algorithm = reallocation.build(
        "set(drop_fraction=0.5, rule='sign', decay='constant')"
    )
    new, _ = algorithm.update(
        {"a": LayerState(weights, mask)},
        {"explored/a": mask},
        event=event(),
        seed=0,
    )
    np.testing.assert_array_equal(new["a"], np.array([0, 0, 1, 1, 1, 1], bool))


def test_growth_is_uniform_over_inactive_positions():
    mask = np.array([True] * 2 + [False] * 6)
    layer = LayerState(np.array([2.0, 1.0] + [0.0] * 6, np.float32), mask)
    algorithm = reallocation.build("set(drop_fraction=0.5, decay='constant')")
    hits = np.zeros(8)
    for seed in range(1200):
        new, _ = algorithm.update(
            {"a": layer}, {"explored/a": layer.mask}, event=event(), seed=seed
        )
        hits += new["a"]
    assert hits[0] == 1200
    assert hits[1] == 0
    # Five standard deviations of a binomial with p = 1/6.
    assert np.all(np.abs(hits[2:] - 200) < 5 * math.sqrt(1200 * 5 / 36))


@pytest.mark.parametrize(
    ("decay", "dropped"),
    [("constant", 30), ("cosine", 15), ("linear", 15)],
)
def test_the_fraction_follows_its_decay(decay, dropped):
    mask = np.arange(400) < 100
    weights = np.where(mask, 1.0, 0.0).astype(np.float32)
    algorithm = reallocation.build(f"set(drop_fraction=0.3, decay={decay!r})")
    new, _ = algorithm.update(
        {"a": LayerState(weights, mask)},
        {"explored/a": mask},
        event=event(500),
        seed=0,
    )
    assert (mask & ~new["a"]).sum() == dropped


def test_layers_draw_different_positions():
    mask = np.arange(400) < 100
    layer = LayerState(mask.astype(np.float32), mask)
    new, _ = reallocation.build("set").update(
        {"a": layer, "b": layer},
        {"explored/a": mask, "explored/b": mask},
        event=event(),
        seed=0,
    )
    assert (new["a"] != new["b"]).any()


def test_an_unknown_rule_is_refused():
    with pytest.raises(InputError, match="Did you mean 'magnitude'"):
        reallocation.build("set(rule='magnitud')")


def test_events_may_come_an_update_after_the_end_of_an_epoch():
    def due(text):
        period = reallocation.build(text).period(TrainingLength(40, 10))
        step, found = 0, []
        while (step := period.next(step)) is not None:
            found.append(step)
        return found

    assert due("set(every='1ep', end=1.0)") == [10, 20, 30, 40]
    text = "set(every='1ep', start='1ep', end=1.0, offset=1)"
    assert due(text) == [11, 21, 31]
