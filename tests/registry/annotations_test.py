"""Values are compared with annotations as a reader of them would."""

from collections.abc import Mapping
from typing import Annotated
from typing import Any
from typing import Literal

import numpy as np
import pytest

from cb.errors import InputError
from cb.registry import Interval
from cb.registry import check
from cb.registry.annotations import allows

AT_LEAST_1 = Annotated[int, Interval("[1, inf)")]


@pytest.mark.parametrize(
    "annotation, good, bad",
    [
        (bool, [True, False], [0, 1, "no", None]),
        (Any, [True, 1, None, "x"], []),
        (int, [0, -3], [True, 1.0, "1", None]),
        (
            float,
            [0, 0.5, np.float64(1), float("inf")],
            [True, "x", None, float("nan")],
        ),
        (str, ["", "a"], [1, None, b"a"]),
        (int | None, [None, 1], ["none", 1.5, False]),
        (Literal["a", "b"], ["a"], ["A", None, 1]),
        (Literal[1, 2], [1], [True, 1.0]),
        (tuple[int, ...], [(), (1, 2), [1, 2]], [1, (1, "x"), (True,), "12"]),
        (tuple[int, str], [(1, "a")], [(1,), ("a", 1), (1, "a", 2)]),
        (list[str], [["a"], ("a",)], ["a", [1]]),
        (Mapping[int, float], [{}, {1: 2}], [{"1": 2}, {1: "x"}, [1]]),
        (AT_LEAST_1, [1, 10**9], [0, -1, True, 1.0]),
        (Annotated[float, Interval("[0, 1)")], [0, 0.9], [1, 1.0, -0.1]),
        (Annotated[float, Interval("(0, inf)")], [1e-9], [0, 0.0]),
        (tuple[AT_LEAST_1, ...], [(1, 2)], [(0,), (1, 0)]),
    ],
)
def test_allows_what_the_annotation_says(annotation, good, bad):
    assert [allows(annotation, value) for value in good] == [True] * len(good)
    assert [allows(annotation, value) for value in bad] == [False] * len(bad)


@pytest.mark.parametrize(
    "annotation, value, expected",
    [
        (AT_LEAST_1, 0, "must be an integer of at least 1. Received: x=0"),
        (bool, "no", "must be True or False. Received: x='no'"),
        (Literal["a", "b"], "c", "must be one of 'a', 'b'. Received: x='c'"),
        (int | None, 1.5, "must be an integer or None. Received: x=1.5"),
    ],
)
def test_says_what_was_expected_and_received(annotation, value, expected):
    with pytest.raises(InputError) as error:
        check("x", value, annotation, "model `mlp`")
    assert str(error.value) == f"Argument `x` of model `mlp` {expected}"


@pytest.mark.parametrize(
    "annotation, value, nearest",
    [
        (Literal["zero", "redrawn"], "redraw", "redrawn"),
        (Literal["uniform"] | float, "unifrom", "uniform"),
        (Mapping[Literal["conv", "dense"], float], {"convs": 0.5}, "conv"),
        (tuple[Literal["conv", "dense"], ...], ("conv", "dens"), "dense"),
    ],
)
def test_suggests_the_nearest_option(annotation, value, nearest):
    with pytest.raises(InputError, match=f"Did you mean '{nearest}'?"):
        check("x", value, annotation)


@pytest.mark.parametrize("text", ["", "[0, 1", "0..1", "[a, b]"])
def test_refuses_a_malformed_interval(text):
    with pytest.raises(ValueError, match="Malformed interval"):
        Interval(text)
