"""RigL against a plain simulator."""

import math

import numpy as np
import pytest

from cb.errors import InputError
from cb.schedules import PeriodicSchedule
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState


def simulate(weights, mask, gradients, number, regrow_dropped):
    """Drop and grow by sorting index lists, one connection at a time."""
    weights, gradients = weights.reshape(-1), gradients.reshape(-1)
    active = [i for i in range(mask.size) if mask.flat[i]]
    if not regrow_dropped:
        number = min(number, mask.size - len(active))
    by_magnitude = sorted(active, key=lambda i: (-abs(weights[i]), i))
    kept = by_magnitude[: len(active) - number]
    closed = set(kept) if regrow_dropped else set(active)
    candidates = [i for i in range(mask.size) if i not in closed]
    grown = sorted(candidates, key=lambda i: (-abs(gradients[i]), i))[:number]
    result = np.zeros(mask.size, bool)
    result[kept + grown] = True
    return result.reshape(mask.shape)


def event(step=100, every=100, start=0, end=1000):
    return Event(step, step // every - 1, PeriodicSchedule(every, start, end))


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.00, [1, 1, 1, 1, 0, 0, 0, 0]),
        (0.25, [1, 1, 1, 0, 0, 0, 0, 1]),
        (0.50, [1, 1, 0, 0, 0, 0, 1, 1]),
        # The third and fourth weights are dropped, and the second: only four
        # inactive ones take part in growing.
        (0.75, [1, 0, 0, 0, 0, 1, 1, 1]),
        (1.00, [0, 0, 0, 0, 1, 1, 1, 1]),
    ],
)
def test_hand_worked_masks(fraction, expected):
    layer = LayerState(
        weights=np.array([4.0, -3.0, 2.0, -1.0, 0, 0, 0, 0], np.float32),
        mask=np.array([1, 1, 1, 1, 0, 0, 0, 0], bool),
        gradients=np.array([0.0, 0, 0, 0, 1, 2, 3, -4], np.float32),
    )
    algorithm = reallocation.build(
        f"rigl(drop_fraction={fraction}, decay='constant')"
    )
    masks, _ = algorithm.update(
        {"a": layer}, {"explored/a": layer.mask}, event=event(), seed=0
    )
    np.testing.assert_array_equal(masks["a"], np.array(expected, bool))


@pytest.mark.parametrize("regrow_dropped", [True, False])
@pytest.mark.parametrize("levels", [2, 3, 1000])
def test_equals_the_simulator_over_many_events(regrow_dropped, levels):
    random = np.random.default_rng(levels)
    algorithm = reallocation.build(
        f"rigl(drop_fraction=0.5, regrow_dropped={regrow_dropped})"
    )
    mask = random.random((6, 11)) < 0.4
    for number in range(12):
        weights = random.integers(-levels, levels, size=mask.shape) * mask
        gradients = random.integers(-levels, levels, size=mask.shape)
        layer = LayerState(
            weights.astype(np.float32), mask, gradients.astype(np.float32)
        )
        step = 100 * (number + 1)
        factor = 0.5 * (1 + math.cos(math.pi * min(step / 1000, 1)))
        dropped = math.floor(0.5 * factor * mask.sum() + 1e-9)
        expected = simulate(
            layer.weights, mask, layer.gradients, dropped, regrow_dropped
        )
        masks, _ = algorithm.update(
            {"a": layer},
            {"explored/a": layer.mask},
            event=event(step),
            seed=number,
        )
        np.testing.assert_array_equal(masks["a"], expected)
        mask = masks["a"]


def test_a_dropped_connection_returns_only_where_allowed():
    layer = LayerState(
        weights=np.array([3.0, 0.1, 0.0], np.float32),
        mask=np.array([True, True, False]),
        gradients=np.array([0.0, 9.0, 1.0], np.float32),
    )
    masks = {
        allowed: reallocation.build(
            "rigl(drop_fraction=0.5, decay='constant', "
            f"regrow_dropped={allowed})"
        ).update(
            {"a": layer}, {"explored/a": layer.mask}, event=event(), seed=0
        )[0]["a"]
        for allowed in (True, False)
    }
    np.testing.assert_array_equal(masks[True], [True, True, False])
    np.testing.assert_array_equal(masks[False], [True, False, True])


# Defaults of the paper.
def test_running_gradients_with_an_update_are_those_of_the_step():
    spec = "rigl(gradients='running', skip_update=False)"
    assert reallocation.build(spec).gradients == "step"


def test_defaults_are_the_published_ones():
    algorithm = reallocation.build("rigl")
    assert algorithm.drop_fraction == 0.3
    assert algorithm.decay == "cosine"
    assert algorithm.every == 100
    assert algorithm.end == 0.75


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rigl(drop_fraction=1.5)", r"drop_fraction=1\.5"),
        ("rigl(every=0)", "every=0"),
        ("rigl(every='0ep')", "every='0ep'"),
        ("rigl(every=0.0)", r"every=0\.0"),
        ("rigl(end='x')", "end='x'"),
        ("rigl(decay='square')", "'square'"),
        ("rigl(drop_fractio=0.3)", "Did you mean 'drop_fraction'"),
        ("rigl(0.3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)", "Too many"),
    ],
)
def test_bad_hyperparameters_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        reallocation.build(spec)
