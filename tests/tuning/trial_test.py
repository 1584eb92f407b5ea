"""Trials: what they change in a configuration, and how they rest."""

import dataclasses

import pytest

from cb.config import Config
from cb.registry import parse_spec
from cb.runs.long_csv import METRICS_HEADER
from cb.runs.long_csv import LongCsv
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.tuning.run_request import RunRequest
from cb.tuning.trial import capped
from cb.tuning.trial import perform
from tests.workers import assert_same_files


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


def test_a_run_that_rested_ends_with_the_bits_of_one_that_did_not(tmp_path):
    def run(name, *divisors):
        config = Config(
            run_dir=str(tmp_path / name),
            model="mlp(units=(8,))",
            sparsity=0.5,
            reallocation="rigl(every=2, end=0.8)",
            optimizer="sgd(momentum=0.9)",
            learning_rate_schedule="cosine",
            batch_size=500,
            epochs=5,
        )
        outcomes = []
        for divisor in divisors:
            request = RunRequest(config, {}, {}, divisor=divisor)
            outcomes.append(perform(request))
            done = divisor == 1
            assert (tmp_path / name / "summary.json").exists() == done
        return outcomes

    (whole,) = run("whole", 1)
    first, second, third = run("rested", 9, 3, 1)
    assert_same_files(tmp_path / "whole", tmp_path / "rested")
    assert [o.status for o in (first, second)] == ["resting"] * 2
    assert [o.epochs for o in (first, second, third)] == [1, 2, 5]
    assert first.note == "after 1 of 5 epochs"
    assert third.status == whole.status == "complete"
    for name in {*third.measured} - {"seconds"}:
        assert third.measured[name] == whole.measured[name]
    # What was measured at rest is what the whole run was after two epochs.
    loss = last_loss(tmp_path / "whole", 2)
    assert second.measured["val_loss"] == loss


def last_loss(run, epochs):
    rows = LongCsv(run / "metrics.csv", METRICS_HEADER).read()
    return next(
        float(row["value"])
        for row in reversed(rows)
        if row["name"] == "validation/loss" and int(row["epoch"]) == epochs
    )
