import numpy as np
import pytest

from cb.errors import InputError
from cb.tuning.importance import importances

RANDOM = np.random.default_rng(0)
POINTS = [
    {"rate": float(rate), "kind": kind, **({"depth": n % 4} if n % 2 else {})}
    for n, (rate, kind) in enumerate(
        zip(RANDOM.random(60), RANDOM.choice(["a", "b"], 60), strict=True)
    )
]


def test_what_decides_is_first_and_shares_add_up_to_one():
    values = [point["rate"] ** 2 for point in POINTS]
    found = importances(POINTS, values, ["depth", "kind", "rate"])
    assert [*found][0] == "rate"
    assert found["rate"] > 0.9
    assert sum(found.values()) == pytest.approx(1.0)


def test_choices_and_conditions_count_too():
    values = [
        (point["kind"] == "a") + 3.0 * ("depth" in point) for point in POINTS
    ]
    found = importances(POINTS, values, ["rate", "kind", "depth"])
    assert [*found] == ["depth", "kind", "rate"]


def test_too_few_points_are_refused():
    with pytest.raises(InputError, match="at least 8 points"):
        importances(POINTS[:7], [0.0] * 7, ["rate"])
