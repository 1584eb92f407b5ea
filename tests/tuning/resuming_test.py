"""Sweeps killed at any moment, with trainings that are only pretended."""

import errno
import json
import os
import random
import shutil

import pytest
import yaml

from cb.errors import InputError
from cb.errors import Locked
from cb.errors import Preempted
from cb.tuning import sweep
from cb.tuning import worker
from cb.tuning.directory import locked
from cb.tuning.oracles import names
from cb.tuning.results import Results
from cb.tuning.run_request import RunResult

SPACE = {
    "fixed": {"epochs": 9},
    "search": {
        "learning_rate": {"type": "choice", "values": [0.1, 0.01, 0.05]},
        "sparsity": {"type": "choice", "values": [0.5, 0.9]},
    },
}
# The others choose for several objectives.
SINGLE = ("bayesian", "hyperband")
TRIALS = 6


class Killed(BaseException):
    """Ends a process of the sweep."""


class Pretended:
    """Pretends to train; is killed at some event.

    Attributes:
        trained: List of the run folders that were trained, and the epochs.
        left: How many events take place before the kill.
        refusals: List of errors that the next trainings raise.
        error: Float, the validation error of all trainings.
    """

    def __init__(self):
        self.trained = []
        self.left = None
        self.refusals = []
        self.error = None

    def event(self):
        """Count an event; raise instead of the last."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    def run(self, request, log):
        """Pretend to run a request."""
        self.event()
        if self.refusals:
            raise self.refusals.pop()
        config = request.config
        epochs = round(config.epochs / request.divisor)
        self.trained.append((config.run_dir, epochs))
        self.event()
        rate, sparsity = config.learning_rate, config.sparsity
        measured = {
            "val_error": self.error or rate + sparsity + 1 / epochs,
            "inference_flops": (1 - sparsity) / rate,
            "training_flops": (1 - sparsity) * config.epochs,
        }
        return RunResult(
            "complete" if epochs == config.epochs else "resting",
            measured,
            config=config,
            epochs=epochs,
            all_epochs=config.epochs,
        )


@pytest.fixture
def pretended(monkeypatch):
    """Let every sweep pretend, and count what it does to files as well."""
    pretended = Pretended()

    class Worker(worker.Worker):
        def run(self, request, log):
            return pretended.run(request, log)

    def counted(function):
        def call(*arguments):
            pretended.event()
            function(*arguments)
            pretended.event()

        return call

    monkeypatch.setattr(sweep, "Worker", Worker)
    monkeypatch.setattr(sweep.checks, "check", lambda plan: None)
    monkeypatch.setattr(sweep, "compare", lambda *folders: None)
    monkeypatch.setattr(sweep.Progress, "note", lambda self, rows: None)
    for name in ("replace", "fsync"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    return pretended


@pytest.fixture
def start(run_sweep, pretended, tmp_path):
    """Start a pretended sweep, or resume it; return its rows."""
    file = tmp_path / "space.yaml"
    file.write_text(yaml.safe_dump(SPACE))

    def start(directory, **arguments):
        folder = run_sweep(
            **{
                "space": str(file),
                "max_trials": TRIALS,
                "directory": directory,
                **arguments,
            },
            given={"dataset": "digits"},
        )
        return rows(folder)

    return start


def rows(folder):
    """Return the results without what differs when repeated."""
    found = Results(folder / "results.csv").read()
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]


def objectives(spec):
    single = spec.partition("(")[0] in SINGLE
    return ["val_error"] if single else ["val_error", "inference_flops"]


@pytest.mark.parametrize(
    "spec, racing",
    [(name, "folds") for name in [*names(), "pareto(sampler='nsga2')"]]
    + [("pareto(startup=2)", "folds")]
    + [
        (spec, "halving(least=0.3)")
        for spec in ("grid", "pareto", "pareto(startup=2)", "random")
    ]
    + [("pareto(sampler='nsga2')", "halving")],
)
def test_a_sweep_killed_at_any_moments_runs_every_point_once(
    start, pretended, tmp_path, spec, racing
):
    arguments = {
        "oracle": spec,
        "objectives": objectives(spec),
        "racing": racing,
        # Its brackets decide.
        "max_trials": None if spec == "hyperband" else TRIALS,
    }
    pretended.left = 10**9
    whole = start("whole", **arguments)
    events = 10**9 - pretended.left
    # With halving, a point is trained up to several rungs.
    once = len(pretended.trained)
    assert once == len({*pretended.trained}) >= len(whole)
    trained = once
    chance = random.Random(spec)
    for number in range(5):
        directory, kills = f"killed_{number}", 0
        while True:
            pretended.left = chance.randrange(events)
            try:
                found = start(directory, **arguments)
            except Killed:
                kills += 1
                continue
            break
        assert found == whole
        trained += once
        # A kill loses at most the training that is under way.
        assert trained <= len(pretended.trained) <= trained + kills
        trained = len(pretended.trained)


def test_a_sweep_that_was_moved_continues(start, tmp_path):
    whole = start("whole", oracle="random")
    start("first", oracle="random", max_trials=3)
    shutil.move(tmp_path / "first", tmp_path / "moved to [b] ")
    assert start("moved to [b] ", oracle="random") == whole


def test_what_the_results_hold_is_not_searched_again(
    start, pretended, tmp_path
):
    whole = start("sweep")
    trained = [*pretended.trained]
    # Without the state of the search, the same search is that of its seed.
    shutil.rmtree(tmp_path / "sweep" / "oracle")
    assert start("sweep") == whole
    assert pretended.trained == trained
    # Without results of a trial, it is run.
    file = tmp_path / "sweep" / "results.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-1]))
    assert start("sweep") == whole
    assert pretended.trained == [*trained, trained[-1]]


def test_halving_trains_a_share_of_the_epochs(start, pretended, capsys):
    found = start("sweep", oracle="grid", racing="halving")
    assert len(found) == TRIALS
    statuses = {row["status"] for row in found}
    trained = sum(row["epochs_trained"] for row in found)
    assert 6 * 1 + 2 * 2 + 6 <= trained <= 6 * 1 + 3 * 2 + 2 * 6
    assert f"Trained {trained} of 54 epochs" in capsys.readouterr().out
    assert statuses == {"complete", "resting"}


def test_results_of_other_values_are_refused(start, tmp_path):
    found = start("sweep", oracle="random")
    shutil.rmtree(tmp_path / "sweep" / "oracle")
    file = tmp_path / "sweep" / "results.csv"
    rate = found[0]["learning_rate"]
    text = file.read_text().replace(f",{rate},", ",0.07,")
    file.write_text(text)
    with pytest.raises(InputError, match="trial 0 has .*0.07"):
        start("sweep", oracle="random")


def test_a_state_that_cannot_be_read_is_one_line(start, tmp_path):
    start("sweep")
    file = tmp_path / "sweep" / "oracle" / "state.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(InputError, match="state of a search must be"):
        start("sweep")


def test_a_second_process_is_refused(start, pretended, tmp_path):
    start("sweep", max_trials=2)
    state = (tmp_path / "sweep/oracle/state.json").read_bytes()
    trained = [*pretended.trained]
    with locked(tmp_path / "sweep"):
        with pytest.raises(Locked):
            start("sweep")
    assert (tmp_path / "sweep/oracle/state.json").read_bytes() == state
    assert pretended.trained == trained


def test_fewer_trials_than_there_are_lose_none(start, pretended, capsys):
    whole = start("sweep", max_trials=4)
    assert start("sweep", max_trials=2) == whole
    assert (
        "4 trials are there already, more than the 2" in capsys.readouterr().out
    )
    assert len(pretended.trained) == 4


@pytest.mark.parametrize(
    "error", [Preempted("Stopped."), OSError(errno.ENOSPC, "full")]
)
def test_a_machine_that_stops_is_no_failure_of_a_trial(start, pretended, error):
    whole = start("whole")
    pretended.refusals = [error]
    with pytest.raises(type(error)):
        start("stopped")
    assert start("stopped") == whole


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_objective_that_is_not_finite_is_a_failure(start, pretended, value):
    pretended.error = value
    found = start("sweep", oracle="grid")
    assert len(found) == TRIALS
    for row in found:
        assert row["status"] == "failed"
        assert row["note"] == f"its val_error is {value}"
        assert "Error" not in row


def test_another_space_is_refused_with_the_differences(start, tmp_path):
    start("sweep")
    space = json.loads(json.dumps(SPACE))
    space["search"]["learning_rate"]["values"] = [0.1, 0.2]
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    with pytest.raises(InputError, match="space.learning_rate.values: .*0.2"):
        start("sweep")
