"""Schedule files of the published experiments."""

import pytest

from cb.errors import InputError
from cb.sparsity import schedule_file
from cb.sparsity import schedules

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


# Epoch 100 has learning rate .02, period 400 and temperature 1e-12.
def test_the_worked_example():
    parsed = schedule_file.parse(WIDE)
    assert [schedules.piecewise(values, 100) for values in parsed] == [
        0.02,
        400,
        1e-12,
    ]
    assert parsed.period == {0: 100, 25: 200, 80: 400, 140: 800}
    # Without a dot, YAML takes this for a string.
    assert parsed.temperature[25] == 1e-8


def test_a_schedule_may_be_missing():
    assert schedule_file.parse("lr_schedule: [{0: 0.5}]") == ({0: 0.5}, {}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
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
