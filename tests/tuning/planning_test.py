"""None of these tests imports TensorFlow: they are quick."""

import pytest

from cb.errors import InputError
from cb.tuning.plan import FixedConfiguration
from cb.tuning.planning import SweepSettings
from cb.tuning.planning import build_plan


@pytest.mark.parametrize(
    "given, settings, message",
    [
        ({"reallocation": "rigl"}, ["reallocation.evry=5"], "mean 'every'"),
        ({}, ["reallocation.evry=5"], "mean 'every'"),
        ({"dataset": "digits"}, ["dataset.pth=x"], "keyword in data set"),
        ({}, ["learning_rate=-1"], "`learning_rate` must be"),
    ],
)
def test_keywords_are_checked_before_anything_slow(given, settings, message):
    sweep = SweepSettings(directory="sweep")
    with pytest.raises(InputError, match=message):
        build_plan(sweep, FixedConfiguration(None, given, settings))
