"""Learning rates against formulas written out."""

import math

import pytest

from cb.errors import InputError
from cb.optimization import learning_rates
from cb.schedules import TrainingLength

HORIZON = TrainingLength(total_steps=100, steps_per_epoch=10)


def at(spec, step):
    schedule = learning_rates.build(
        spec, learning_rate=0.4, training_length=HORIZON
    )
    return float(schedule(step)) if callable(schedule) else schedule


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec, expected",
    [
        ("constant", {0: 0.4, 99: 0.4}),
        ("cosine", {0: 0.4, 50: 0.2, 100: 0.0}),
        ("cosine(final=0.5)", {100: 0.2}),
        ("cosine(warmup='2ep')", {0: 0.0, 10: 0.2, 20: 0.4, 60: 0.2}),
        ("cosine(end=0.5)", {25: 0.2, 50: 0.0, 80: 0.0}),
        ("linear", {0: 0.4, 25: 0.3, 100: 0.0}),
        ("linear(final=0.25, end='5ep')", {50: 0.1, 90: 0.1}),
        ("step", {0: 0.4, 49: 0.4, 50: 0.04, 74: 0.04, 75: 0.004}),
        ("step(at=('3ep',), factor=0.5)", {29: 0.4, 30: 0.2}),
        (
            "piecewise(factors={0: 0.0, 1: 1.0, 6: 0.2})",
            {0: 0.0, 9: 0.0, 10: 0.4, 59: 0.4, 60: 0.08, 99: 0.08},
        ),
        ("exponential(rate=0.5)", {0: 0.4, 10: 0.2, 15: 0.2 / math.sqrt(2)}),
        ("exponential(rate=0.5, staircase=True)", {19: 0.2, 20: 0.1}),
    ],
)
def test_follows_its_formula(spec, expected):
    for step, value in expected.items():
        assert at(spec, step) == pytest.approx(value, abs=1e-6)


def test_times_that_are_one_step_of_a_short_training_leave_the_last_rate():
    length = TrainingLength(total_steps=3, steps_per_epoch=3)
    schedule = learning_rates.build(
        "step", learning_rate=0.4, training_length=length
    )
    found = [float(schedule(step)) for step in range(4)]
    assert found == pytest.approx([0.4, 0.4, 0.004, 0.004])


@pytest.mark.parametrize(
    "spec",
    [
        "step(at=(0.75, 0.5))",
        "cosine(warmup=60, end=0.5)",
        "piecewise(factors={6: 0.1, 0: 1.0})",
        "piecewise(factors={})",
    ],
)
def test_refuses_times_in_the_wrong_order(spec):
    with pytest.raises(InputError, match="Argument"):
        at(spec, 0)
