import itertools

import numpy as np
import pytest

from cb.errors import InputError
from cb.tuning import pareto


def inclusion_exclusion(points, reference):
    """Compute the union of boxes by its definition."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for chosen in itertools.combinations(points, size):
            corner = np.max(chosen, axis=0)
            sides = np.maximum(np.asarray(reference) - corner, 0.0)
            total += (-1) ** (size + 1) * np.prod(sides)
    return total


def slow_layers(points):
    numbers, left, layer = (
        np.zeros(len(points), int),
        set(range(len(points))),
        0,
    )
    while left:
        front = {
            i
            for i in left
            if not any(
                all(points[j] <= points[i]) and any(points[j] < points[i])
                for j in left
            )
        }
        numbers[list(front)] = layer
        left, layer = left - front, layer + 1
    return numbers


def test_golden_layers_with_ties():
    points = [[1, 4], [2, 2], [2, 2], [4, 1], [2, 4], [3, 3], [3, 3], [5, 5]]
    np.testing.assert_array_equal(
        pareto.layers(points), [0, 0, 0, 0, 1, 1, 1, 2]
    )


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_layers_are_those_of_the_definition(objectives):
    points = np.random.default_rng(objectives).integers(0, 5, (60, objectives))
    np.testing.assert_array_equal(pareto.layers(points), slow_layers(points))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_hypervolume_is_that_of_the_union_of_boxes(objectives):
    points = np.random.default_rng(objectives).random((9, objectives)) * 1.3
    reference = [1.1] * objectives
    np.testing.assert_allclose(
        pareto.hypervolume(points, reference),
        inclusion_exclusion(points, reference),
        rtol=1e-12,
    )


def test_hypervolume_over_time_never_falls_and_ends_at_the_whole():
    points = np.random.default_rng(0).random((30, 3))
    over_time = pareto.hypervolumes(points, [1.0, 1.0, 1.0])
    assert np.all(np.diff(over_time) >= 0)
    assert over_time[-1] == pareto.hypervolume(points, [1.0, 1.0, 1.0])


def test_points_outside_of_the_reference_count_nothing():
    assert pareto.hypervolume([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0]) == 0.0
    assert pareto.hypervolume(np.zeros((0, 2)), [1.0, 1.0]) == 0.0


def test_crowding_of_a_front_by_hand():
    points = [[0, 4], [1, 2], [3, 1], [4, 0]]
    np.testing.assert_allclose(
        pareto.crowding(points), [np.inf, 3 / 4 + 3 / 4, 3 / 4 + 2 / 4, np.inf]
    )


def test_nothing_has_no_crowding():
    assert pareto.crowding(np.empty((0, 2))).shape == (0,)


def test_a_point_does_not_dominate_its_equal():
    assert not pareto.dominates(np.array([1, 2]), np.array([1, 2]))
    assert pareto.dominates(np.array([1, 2]), np.array([1, 3]))


def test_what_is_not_a_number_is_refused():
    with pytest.raises(InputError, match="1 that are not numbers"):
        pareto.layers([[1.0, np.nan]])
