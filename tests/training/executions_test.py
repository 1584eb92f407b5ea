"""Several steps between two calls of callbacks give the same numbers."""

import csv
import itertools

import numpy as np
import pytest

from cb import distribute
from cb.config import Config
from cb.errors import Preempted
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from cb.schedules import PeriodicSchedule
from cb.training import assembly
from cb.training.executions import common_batches
from cb.training.executions import steps_in_execution
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


def assert_equal(one, other):
    assert numbers(one) == numbers(other)
    expected, found = weights(one), weights(other)
    assert len(expected) > 10 and expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name])


@pytest.mark.slow
def test_numbers_and_weights_are_those_of_single_steps(tmp_path):
    single = trained(tmp_path / "single")
    several = trained(tmp_path / "several", steps_per_execution=4)
    assert_equal(single, several)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, 8),
        ({"reallocation": "rigl(every=3)", "gradient_accumulation": 2}, 6),
        ({"reallocation": "rigl(every=11)"}, 1),
        ({"kernels": "csr(max_density=1.0, min_size=100)"}, 8),
        ({"reallocation": "n_by_m"}, 1),
        ({"reallocation": "rigl(every=8, gradients='step')"}, 1),
        ({"weight_distance": 3}, 1),
        ({"dtype": "mixed_float16"}, 1),
    ],
)
def test_as_many_steps_as_nothing_disturbs(flags, expected, tmp_path, capsys):
    single = trained(tmp_path / "single", **flags)
    capsys.readouterr()
    several = trained(tmp_path / "several", steps_per_execution=13, **flags)
    assert (
        f"Steps per execution: {expected} instead of 13; "
        in capsys.readouterr().out
    )
    assert_equal(single, several)


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "taken"), [(4, None), (3, 2)])
def test_a_run_stopped_inside_of_an_epoch_goes_on(
    asked, taken, tmp_path, capsys
):
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
    capsys.readouterr()
    resumed = trained(folder, steps_per_execution=asked, **flags)
    said = f"Steps per execution: {taken} instead of {asked}; "
    assert (said in capsys.readouterr().out) == (taken is not None)
    assert_equal(whole, resumed)


def test_common_batches_divide_epoch_and_events():
    period = PeriodicSchedule(8, start=0, end=40)
    assert common_batches(24, None, 1) == 24
    assert common_batches(24, period, 1) == 8
    assert common_batches(24, period, 2) == 8
    assert common_batches(48, period, 2) == 16
    assert common_batches(24, period._replace(every=1), 1) == 1
    last = period._replace(end=36, includes_end=True)
    assert common_batches(24, last, 1) == 4


def test_steps_are_the_largest_divisor():
    for at_most, common in itertools.product(range(1, 30), range(1, 30)):
        steps = steps_in_execution(at_most, common)
        larger = range(steps + 1, at_most + 1)
        assert common % steps == 0 and all(common % n for n in larger)
