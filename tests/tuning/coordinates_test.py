import keras_tuner
import numpy as np
import pytest

from cb.tuning.coordinates import INACTIVE
from cb.tuning.coordinates import Coordinates


@pytest.fixture
def space():
    space = keras_tuner.HyperParameters()
    space.Choice("kind", ["wide", "deep", "flat"])
    space.Choice("size", [8, 32, 16])
    space.Int("layers", 1, 4)
    with space.conditional_scope("kind", ["deep"]):
        space.Int("width", 4, 256, sampling="log")
        space.Int("cells", 1, 4)
        with space.conditional_scope("cells", [3, 4]):
            space.Float("rate", 1e-4, 1.0, sampling="log")
    with space.conditional_scope("kind", ["wide"]):
        space.Int("every", 1, 10**6, sampling="log")
    space.Float("back", 1e-3, 1.0, sampling="reverse_log")
    space.Float("step", 0.0, 1.0, step=0.25)
    space.Boolean("noisy")
    space.Fixed("one", 1)
    return space.space


def is_point(space, values):
    """Tell whether values are those that keras-tuner would accept."""
    point = keras_tuner.HyperParameters()
    for one in space:
        point.merge([one])
        active = point.is_active(one)
        if active != (one.name in values):
            return False
        if active:
            point.values[one.name] = values[one.name]
    return True


def test_rows_are_points_and_back(space):
    coordinates = Coordinates(space)
    rows = np.random.default_rng(0).random((300, coordinates.count))
    rows = coordinates.snapped(rows)
    for row in rows:
        values = coordinates.values(row)
        assert is_point(space, values)
        again = coordinates.row(values)
        for name, value in coordinates.values(again).items():
            same = values[name]
            assert value == (
                pytest.approx(same) if isinstance(same, float) else same
            )
        # Only an integer of a million values may move inside of its own.
        np.testing.assert_allclose(again, row, atol=0.06)
    np.testing.assert_array_equal(coordinates.snapped(rows), rows)


def test_every_limit_is_reached(space):
    coordinates = Coordinates(space)
    low = coordinates.values(np.zeros(coordinates.count))
    high = coordinates.values(np.ones(coordinates.count))
    assert low["every"] == 1 and low["back"] == pytest.approx(1e-3)
    assert high["back"] == pytest.approx(1.0)
    assert (high["layers"], high["step"], high["noisy"]) == (4, 1.0, True)
    assert low["one"] == 1


def test_what_is_not_active_is_in_the_middle(space):
    coordinates = Coordinates(space)
    rows = np.random.default_rng(1).random((200, coordinates.count))
    rows = coordinates.snapped(rows)
    names = [one.name for one in space]
    for row in rows:
        values = coordinates.values(row)
        for name, coordinate in zip(names, row, strict=True):
            assert name in values or coordinate == INACTIVE


def test_categories_are_equally_far_from_each_other(space):
    coordinates = Coordinates(space)
    rows = np.tile(coordinates.row({"kind": "flat", "size": 8}), (3, 1))
    rows[:, 0] = [1 / 6, 3 / 6, 5 / 6]
    features = coordinates.features(rows)[:, coordinates.groups == 0]
    distances = ((features[:, None] - features) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances, 1 - np.eye(3), atol=1e-12)
    assert (coordinates.groups == 1).sum() == 1
