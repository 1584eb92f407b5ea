"""Schedule files of the published experiments."""

import pytest

from cb import schedules
from cb.config import schedule_file
from cb.errors import InputError
from cb.optimization import learning_rates
from cb.registry import parse_spec
from cb.schedules import TrainingLength

WIDE = """
lr_schedule:
  - 0: 0.1
  - 60: 0.02
  - 120: 0.004
  - 160: 0.0008
rewire_period_schedule:
  - 0: 100
  - 25: 200
  - 80: 400
  - 140: 800
DeepR_temperature_schedule:
  - 0: 1.0e-5
  - 25: 1e-8
  - 80: 1.0e-12
  - 140: 1.0e-15
"""

PERIOD = {0: 100, 25: 200, 80: 400, 140: 800}
TEMPERATURE = {0: 1e-5, 25: 1e-8, 80: 1e-12, 140: 1e-15}


# Epoch 100 has learning rate .02, period 400 and temperature 1e-12.
def test_the_worked_example():
    parsed = schedule_file.parse(WIDE)
    assert [schedules.piecewise(values, 100) for values in parsed] == [
        0.02,
        400,
        1e-12,
    ]
    assert parsed.period == PERIOD
    # Without a dot, YAML 1.1 takes this for text.
    assert parsed.temperature[25] == 1e-8


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("static", {}),
        ("set(drop_fraction=0.138)", {"every": PERIOD}),
        ("set(every=50)", {"every": 50}),
        ("deep_rewiring", {"temperature": TEMPERATURE}),
    ],
)
def test_an_algorithm_is_told_what_it_knows(spec, expected):
    parsed = schedule_file.parse(WIDE)
    fields = schedule_file.settings(parsed, None, spec)
    told = parse_spec(fields["reallocation"]).kwargs
    assert {key: told[key] for key in expected} == expected
    assert set(told) == set(expected) | set(parse_spec(spec).kwargs)


@pytest.mark.slow
@pytest.mark.parametrize(("given", "highest"), [(None, 0.1), (0.5, 0.5)])
def test_the_learning_rates_become_a_schedule(given, highest):
    parsed = schedule_file.parse(WIDE)
    fields = schedule_file.settings(parsed, given, "static")
    assert fields["learning_rate"] == highest
    schedule = learning_rates.build(
        fields["learning_rate_schedule"],
        learning_rate=highest,
        training_length=TrainingLength(2000, 10),
    )
    seen = [float(schedule(10 * epoch)) for epoch in (0, 59, 60, 120, 160)]
    expected = [0.1, 0.1, 0.02, 0.004, 0.0008]
    assert seen == pytest.approx([10 * highest * v for v in expected])


def test_a_training_without_learning_rates_keeps_its_own():
    parsed = schedule_file.parse("rewire_period_schedule: [{0: 100}]")
    fields = schedule_file.settings(parsed, None, "set")
    assert set(fields) == {"reallocation"}


def test_learning_rates_of_nothing_are_refused():
    parsed = schedule_file.parse("lr_schedule: [{0: 0.0}]")
    with pytest.raises(InputError, match="above zero"):
        schedule_file.settings(parsed, None, "set")


def test_a_schedule_may_be_missing():
    assert schedule_file.parse("lr_schedule: [{0: 0.5}]") == ({0: 0.5}, {}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML: line 1"),
        ("- 1", "must be a map with keys"),
        ("lr: [{0: 1.0}]", "must be a map with keys"),
        ("lr_schedule: 0.1", "list of one-entry maps"),
        ("lr_schedule: [{0: 0.1, 1: 0.2}]", "list of one-entry maps"),
        ("lr_schedule: [{0: fast}]", "list of one-entry maps"),
        ("lr_schedule: [{5: 0.1}, {0: 0.2}]", "ascending"),
        ("lr_schedule: [{0: -0.1}]", "list of one-entry maps"),
        ("rewire_period_schedule: [{0: 0}]", "positive integer"),
        ("rewire_period_schedule: [{0: 1.5}]", "positive integer"),
    ],
)
def test_anything_else_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        schedule_file.parse(text)
