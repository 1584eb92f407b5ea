"""Figures as data, their stairs, and the charts made of them."""

import numpy as np
import pytest

from cb.plots.chart import chart
from cb.plots.figure import Figure
from cb.plots.figure import Trace
from cb.plots.figure import stairs
from cb.plots.page import shown

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("larger", ["", "x", "y", "xy"])
def test_stairs_go_through_what_nothing_is_better_than(larger):
    points = RANDOM.integers(0, 12, (40, 2))
    signs = np.array([-1 if axis in larger else 1 for axis in "xy"])
    smaller = points * signs
    not_dominated = {
        tuple(point * signs)
        for point in smaller
        if not np.any(
            np.all(smaller <= point, axis=1) & np.any(smaller < point, axis=1)
        )
    }
    chosen, kind = stairs(*points.T, larger=larger)
    assert {tuple(points[place]) for place in chosen} == not_dominated
    assert np.all(np.diff(points[chosen, 0]) > 0)
    # Between two points what holds is the value of the cheaper one.
    assert kind == ("vh" if "x" in larger else "hv")


def test_a_chart_has_the_numbers_of_its_figure():
    lines = [
        Trace(x=[1, 2], y=[0.5, np.nan], label="<a>", look=0, items="one"),
        Trace(x=[1, 2], y=[3, 4], label="<a>", look=8, items=["one", "two"]),
        Trace(x=[1, 2], y=[3, 4], look=None, kind="hv"),
    ]
    found = chart(Figure(name="f", title="F", x="steps", traces=lines))
    first, second, third = found["data"]
    assert (first["x"], first["y"]) == ([1, 2], [0.5, None])
    assert first["name"] == "&lt;a&gt;"
    assert second["items"] == ["one", "two"]
    assert first["line"]["dash"] == "solid" and second["line"]["dash"] == "dash"
    assert third["line"]["shape"] == "hv" and third["hoverinfo"] == "skip"
    # One entry of the legend hides both.
    (key,) = found["keys"]
    assert (key["label"], key["traces"]) == ("<a>", [0, 1])


@pytest.mark.parametrize("y", [[0, 0], [1, np.inf], [np.nan, np.nan]])
def test_a_chart_leaves_gaps_for_what_has_no_logarithm(y):
    trace = Trace(x=[1, 2], y=y, label="a", look=0, items="one")
    figure = Figure(name="f", title="F", x="steps", traces=[trace], log="y")
    axis = chart(figure)["layout"]["yaxis"]
    assert ("type" in axis) == (max(y) > 0)


@pytest.mark.parametrize(
    "column, texts",
    [
        ([1844.0, 147100.0, 8.856e10], ["1844", "147.1 k", "88.56 G"]),
        ([99999, 100000, None], ["99999", "100 k", ""]),
        # As many digits as the largest needs for four, zeros left out.
        ([0.5, 0.02, 0.25], ["0.50", "0.02", "0.25"]),
        ([88.539, 91.5, 93.771], ["88.54", "91.50", "93.77"]),
        ([1e-6, 0.5], ["1e-06", "0.5"]),
        ([1.0, 2.0], ["1", "2"]),
        (["rigl", True, np.nan], ["rigl", "True", "nan"]),
        ([], []),
    ],
)
def test_numbers_of_a_column_have_as_many_digits(column, texts):
    assert shown(column) == texts
