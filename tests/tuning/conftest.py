"""Sweeps whose runs stay in the process of the tests."""

import contextlib

import pytest

from cb.tuning import sweep
from cb.tuning import worker
from cb.tuning.plan import FixedConfiguration
from cb.tuning.planning import SweepSettings
from cb.tuning.planning import build_plan


class HereWorker(worker.Worker):
    """Does its tasks itself."""

    def run(self, task, log):
        """Do a task."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a") as file, contextlib.redirect_stdout(file):
            return worker.attempt(task)


@pytest.fixture
def run_sweep(monkeypatch, tmp_path):
    """Run a sweep of digits with the shortest trainings there are."""
    monkeypatch.setattr(sweep, "Worker", HereWorker)

    def run(given=None, settings=(), **arguments):
        shortest = {"batch_size": 500, **(given or {})}
        folder = str(tmp_path / arguments.pop("directory", "sweep"))
        made = SweepSettings(directory=folder, **arguments)
        base = FixedConfiguration(None, shortest, settings)
        sweep.sweep(made, build_plan(made, base))
        return tmp_path / folder

    return run
