import numpy as np
import pytest

from cb.tuning import improvement
from cb.tuning import pareto


def random_front(objectives, ties):
    points = np.random.default_rng(objectives).random((14, objectives))
    if ties:
        points = np.round(points * 4) / 4
    return points[pareto.layers(points) == 0]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_boxes_hold_once_what_no_point_dominates(objectives, ties):
    front = random_front(objectives, ties)
    lower, upper = improvement.boxes(front, np.full(objectives, 1.1))
    draws = np.random.default_rng(0).random((20000, objectives)) * 1.1
    inside = (draws[:, None] >= lower) & (draws[:, None] < upper)
    dominated = (front[:, None] <= draws).all(axis=2).any(axis=0)
    np.testing.assert_array_equal(inside.all(axis=2).sum(axis=1), ~dominated)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_expectation_is_the_mean_of_drawn_growths(objectives):
    random = np.random.default_rng(objectives)
    front, reference = random_front(objectives, True), np.full(objectives, 1.1)
    means = front[:1] + 0.1 * random.standard_normal((3, objectives))
    deviations = 0.05 + 0.2 * random.random((3, objectives))
    found = improvement.expected(
        means, deviations, *improvement.boxes(front, reference)
    )
    before = pareto.hypervolume(front, reference)
    for mean, deviation, expectation in zip(
        means, deviations, found, strict=True
    ):
        drawn = mean + deviation * random.standard_normal((2000, objectives))
        growths = [
            pareto.hypervolume(np.vstack([front, point]), reference) - before
            for point in drawn
        ]
        error = np.std(growths) / np.sqrt(len(growths))
        assert abs(np.mean(growths) - expectation) < 4 * error


def test_of_no_front_everything_up_to_the_reference_is_left():
    lower, upper = improvement.boxes(np.empty((0, 2)), np.array([1.0, 2.0]))
    assert (lower == -np.inf).all()
    np.testing.assert_array_equal(upper, [[1.0, 2.0]])
