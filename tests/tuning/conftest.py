"""A small space, and sweeps whose runs stay in the process of the tests."""

import contextlib
import dataclasses

import pytest
import yaml

from cb.tuning import report
from cb.tuning import sweep
from cb.tuning import worker
from cb.tuning.plan import FixedConfiguration
from cb.tuning.planning import SweepSettings
from cb.tuning.planning import build_plan

SMALL = {
    "fixed": {"model": "autosparse_mlp(first=8, layers=1)", "epochs": 1},
    "search": {
        "algorithm": {
            "type": "choice",
            "values": {
                "set": {"reallocation": "set"},
                "rigl": {"reallocation": "rigl"},
                "no_prune": {"reallocation": "static", "sparsity": 0.0},
            },
        },
        "sparsity": {
            "type": "float",
            "min": 0.0,
            "max": 0.99,
            "default": 0.5,
            "when": {"algorithm": ["set", "rigl"]},
        },
        "reallocation.every": {
            "type": "int",
            "min": 1,
            "max": 1000000,
            "log": True,
            "default": 10,
            "when": {"algorithm": ["set", "rigl"]},
        },
        "learning_rate": {"type": "float", "min": 0.001, "max": 0.5},
    },
}


class HereWorker(worker.Worker):
    """Does its tasks itself: all of them, or one of every few.

    The others come out as the one before, each with its own configuration.
    """

    one_of = 1
    _asked = 0

    def run(self, task, log):
        """Do a task."""
        self._asked += 1
        if (self._asked - 1) % self.one_of:
            return dataclasses.replace(self._outcome, config=task.config)
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a") as file, contextlib.redirect_stdout(file):
            self._outcome = worker.attempt(task)
        return self._outcome


@pytest.fixture
def run_sweep(monkeypatch, tmp_path):
    """Run a sweep of digits with the shortest trainings there are.

    Pictures of its report take longer than these, and are drawn if asked for.
    """
    draw = report.draw
    monkeypatch.setattr(sweep, "Worker", HereWorker)

    def run(given=None, settings=(), one_of=1, pictures=False, **arguments):
        drawn = draw if pictures else lambda *_: None
        monkeypatch.setattr(report, "draw", drawn)
        monkeypatch.setattr(HereWorker, "one_of", one_of)
        shortest = {"batch_size": 500, **(given or {})}
        folder = str(tmp_path / arguments.pop("directory", "sweep"))
        made = SweepSettings(directory=folder, **arguments)
        base = FixedConfiguration(None, shortest, settings)
        sweep.sweep(made, build_plan(made, base))
        return tmp_path / folder

    return run


@pytest.fixture
def space(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(SMALL, sort_keys=False))
    return str(file)
