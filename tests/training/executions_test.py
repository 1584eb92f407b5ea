"""Several steps between two calls of callbacks give the same numbers."""

import csv
import itertools

import numpy as np
import pytest

from cb import distribute
from cb.config import Config
from cb.errors import InputError
from cb.errors import Preempted
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from cb.schedules import PeriodicSchedule
from cb.training import assembly
from cb.training.executions import check_events
from cb.training.executions import check_length
from cb.training.run import TrainingRun
from cb.training.train import train

# 24 batches an epoch, and eleven of validation, a number that four does not
# divide.
FLAGS = {
    "model": "autosparse_mlp(layers=2, first=24, last=16, dropout=0.2)",
    "limit_examples": 700,
    "validation_examples": 214,
    "batch_size": 20,
    "epochs": 2,
    "reallocation": "rigl(every=8)",
    "strategy": "none",
}


def trained(folder, **flags):
    config = Config(**{**FLAGS, **flags, "run_dir": str(folder)})
    train(config, dict.fromkeys(config.as_dict(), "flag"))
    return RunDirectory(str(folder))


def numbers(run):
    with open(run.metrics_file, newline="") as opened:
        return list(csv.reader(opened))


def weights(run):
    return CheckpointFolder(run.checkpoints).load("last").arrays


@pytest.mark.slow
def test_numbers_and_weights_are_those_of_single_steps(tmp_path):
    single = trained(tmp_path / "single")
    several = trained(tmp_path / "several", steps_per_execution=4)
    assert numbers(single) == numbers(several)
    expected, found = weights(single), weights(several)
    assert len(expected) > 10 and expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name])


@pytest.mark.slow
def test_a_run_stopped_inside_of_an_epoch_goes_on(tmp_path):
    flags = {"save_every": 6, "reallocation": "rigl(every=24)"}
    whole = trained(tmp_path / "whole", steps_per_execution=4, **flags)
    folder = tmp_path / "stopped"
    config = Config(**{**FLAGS, **flags, "run_dir": str(folder)})
    calls = itertools.count()
    run = TrainingRun(
        *assembly.resolve(config, dict.fromkeys(config.as_dict(), "flag")),
        distribute.build("none"),
        RunDirectory(str(folder)),
        lambda: next(calls) == 8,
    )
    run.build()
    with pytest.raises(Preempted, match="after batch 8"):
        run.train()
    with pytest.raises(InputError, match="of the 16 batches"):
        trained(folder, steps_per_execution=3, **flags)
    resumed = trained(folder, steps_per_execution=4, **flags)
    assert numbers(resumed) == numbers(whole)


def test_epochs_must_be_multiples():
    check_length(4, 24)
    with pytest.raises(InputError, match="24 batches .*n=5"):
        check_length(5, 24)


def test_events_must_be_multiples():
    period = PeriodicSchedule(8, start=0, end=40)
    check_events(4, period, 1)
    check_events(16, period, 2)
    check_events(1, period._replace(every=1), 1)
    check_events(7, None, 1)
    with pytest.raises(InputError, match="due after step 8. .*n=3"):
        check_events(3, period, 1)
    with pytest.raises(InputError, match="due after step 39"):
        check_events(4, period._replace(end=39, includes_end=True), 1)
