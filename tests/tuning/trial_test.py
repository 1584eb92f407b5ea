"""What a trial changes in its configuration before it is run."""

import dataclasses

import pytest

from cb.config import Config
from cb.registry import parse_spec
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.tuning.trial import capped


@pytest.mark.parametrize(
    "spec", ["rigl(1000000, 5)", "rigl(every=1000000, start=5)"]
)
def test_times_are_cut_to_the_training_however_they_are_given(spec):
    config = Config(reallocation=spec)
    complete = reallocation.REGISTRY.complete(spec)
    completed = dataclasses.replace(config, reallocation=str(complete))
    found, notes = capped(config, completed, TrainingLength(40, 10))
    cut = reallocation.REGISTRY.complete(found.reallocation)
    assert cut.kwargs == {**complete.kwargs, "every": 40}
    # What was left to a default still is.
    assert set(parse_spec(found.reallocation).kwargs) == {"every", "start"}
    assert notes == ["reallocation.every cut from 1000000 to 40"]
