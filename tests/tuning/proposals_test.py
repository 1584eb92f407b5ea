import keras_tuner
import numpy as np
import pytest
import threadpoolctl

from cb.tuning import proposals
from cb.tuning.proposals import Tried


def space():
    space = keras_tuner.HyperParameters()
    space.Choice("kind", ["a", "b", "c"])
    space.Int("width", 1, 64, sampling="log")
    with space.conditional_scope("kind", ["b"]):
        space.Float("rate", 1e-4, 1.0, sampling="log")
    return space.space


def function(values):
    rate = abs(np.log10(values.get("rate", 1e-4)) + 2)
    return [rate + 1 / values["width"], float(values["width"])]


def tried(count=14):
    points = [proposals.design(space(), n, 3) for n in range(count)]
    return [Tried(p, function(p), {}) for p in points]


def test_the_design_fills_every_range():
    points = [proposals.design(space(), n, 1) for n in range(64)]
    widths = [np.log2(point["width"]) for point in points]
    assert [np.histogram(widths, 3, (0, 6.1))[0].min()] > [15]
    kinds = [point["kind"] for point in points]
    assert min(map(kinds.count, "abc")) >= 20
    assert points[5] == proposals.design(space(), 5, 1)
    assert points[5] != proposals.design(space(), 5, 2)


def test_a_proposal_depends_on_what_was_tried_and_the_seed_alone():
    found = proposals.propose(space(), tried(), [], 10, 5)
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            assert proposals.propose(space(), tried(), [], 10, 5) == found
    assert proposals.propose(space(), tried(), [found], 10, 5) != found


def test_points_without_any_that_is_feasible_lead_to_one():
    points = [
        Tried(one.values, None, {"cost": one.values["width"] - 3.5})
        for one in tried()
        if one.values["width"] > 3
    ]
    known = Tried({"kind": "a", "width": 60}, [1.0, 60.0], {"cost": 56.5})
    found = proposals.propose(space(), [*points, known], [], 10, 0)
    assert found["width"] <= 6


def test_logarithms_are_taken_of_what_is_spread_like_them():
    random = np.random.default_rng(0)
    points = np.stack(
        [10 ** random.uniform(2, 6, 30), random.random(30)], axis=1
    )
    found = proposals._scaled(points, 10)
    np.testing.assert_allclose(found[:, 0], np.log(points[:, 0]))
    np.testing.assert_array_equal(found[:, 1], points[:, 1])
    points[-1, 0] = 0.0
    np.testing.assert_array_equal(proposals._scaled(points, 10), points)


@pytest.mark.parametrize("count", [1, 2])
def test_few_points_are_enough(count):
    assert proposals.propose(space(), tried(count), [], 10, 0) is not None
