"""The command that runs published tables, with trainings that are scripts."""

import dataclasses
import os
import pathlib
import shutil
import signal
import sys
import time

import pytest

from cb.errors import INPUT_ERROR
from cb.errors import RUN_ERROR
from cb.errors import InputError
from cb.errors import RunError
from experiments import published
from experiments import results
from experiments import table
from experiments.published import Cell
from tests.commands import run
from tests.experiments.small_table import DENSE
from tests.experiments.small_table import PRUNED
from tests.experiments.small_table import SMALL
from tests.experiments.small_table import STATIC

# Stands for `train.py`: static networks diverge with seed 1.
TRAINING = """
import json, pathlib, sys, time
flags = dict(flag[2:].split("=", 1) for flag in sys.argv[1:])
run = pathlib.Path(flags["run_dir"])
if "static_s99_1" in run.name:
    sys.exit("The loss is no longer finite at step 7: nan.")
if "initialize_from" in flags:
    dense = pathlib.Path(flags["initialize_from"].removesuffix(":last"))
    assert (dense / "summary.json").exists()
run.mkdir()
accuracy = 0.5 + int(flags["seed"]) / 10
summary = {"test": {"accuracy": accuracy}}
(run / "summary.json").write_text(json.dumps(summary))
"""


def runner(
    folder,
    training=TRAINING,
    jobs=2,
    chosen=SMALL,
    seeds=(0, 1),
    monkeypatch=None,
):
    """Return a runner whose trainings are a script."""
    script = folder / "training.py"
    script.write_text(training)
    command = table.Job.command

    def scripted(job, data_dir):
        return [sys.executable, str(script), *command(job, data_dir)[2:]]

    monkeypatch.setattr(table.Job, "command", scripted)
    given = table.arguments(
        [
            "dynamic_sparse",
            f"--runs={folder / 'runs'}",
            f"--results={folder}",
            f"--jobs={jobs}",
            "--seeds",
            *map(str, seeds),
        ]
    )
    return table.Runner(chosen, "abc", given)


@pytest.mark.slow
def test_a_table_is_run_and_not_run_again(tmp_path, monkeypatch):
    first = runner(tmp_path, monkeypatch=monkeypatch)
    first.given.seeds = [0]
    assert first.run() == 0
    assert {row.seed for row in results.read("small", tmp_path)} == {0}
    assert runner(tmp_path, monkeypatch=monkeypatch).run() == 0
    rows = results.read("small", tmp_path)
    found = {(r.experiment, r.seed): (r.status, r.value) for r in rows}
    assert found == {
        (DENSE, 0): ("done", 50.0),
        (DENSE, 1): ("done", 60.0),
        (PRUNED, 0): ("done", 50.0),
        (PRUNED, 1): ("done", 60.0),
        (STATIC, 0): ("done", 50.0),
        (STATIC, 1): ("diverged", None),
    }
    assert all("--epochs=100" in row.flags for row in rows)
    assert {row.commit for row in rows} == {"abc"}
    # Nothing is left, so nothing fails.
    again = runner(tmp_path, "raise SystemExit(1)", monkeypatch=monkeypatch)
    assert again.run() == 0
    assert results.read("small", tmp_path) == rows


@pytest.mark.slow
def test_runs_before_others_are_done_again_where_their_folders_are_not(
    tmp_path, monkeypatch
):
    assert runner(tmp_path, monkeypatch=monkeypatch).run() == 0
    rows = results.read("small", tmp_path)
    left = [row for row in rows if (row.experiment, row.seed) != (PRUNED, 1)]
    (tmp_path / "small.csv").unlink()
    results.append("small", left, tmp_path)
    shutil.rmtree(tmp_path / "runs")
    assert runner(tmp_path, monkeypatch=monkeypatch).run() == 0
    # What was measured elsewhere stays as it was.
    again = results.read("small", tmp_path)
    assert again[:-1] == left
    assert (again[-1].experiment, again[-1].seed) == (PRUNED, 1)
    (folder,) = (tmp_path / "runs").iterdir()
    assert len([*folder.glob("*/summary.json")]) == 2


@pytest.mark.slow
def test_a_chain_of_runs_is_done_again_from_its_beginning(
    tmp_path, monkeypatch
):
    cells = (
        Cell(experiment=DENSE, row="first", column="0"),
        Cell(experiment=STATIC, row="second", column="1", after=DENSE),
        Cell(experiment=PRUNED, row="third", column="2", after=STATIC),
    )
    chain = dataclasses.replace(SMALL, cells=cells)
    given = {"chosen": chain, "seeds": (0,), "monkeypatch": monkeypatch}
    assert runner(tmp_path, **given).run() == 0
    rows = results.read("small", tmp_path)
    assert len(rows) == 3
    (tmp_path / "small.csv").unlink()
    results.append("small", rows[:-1], tmp_path)
    shutil.rmtree(tmp_path / "runs")
    assert runner(tmp_path, **given).run() == 0
    assert results.read("small", tmp_path)[:-1] == rows[:-1]
    assert len([*(tmp_path / "runs").glob("*/*/summary.json")]) == 3


@pytest.mark.slow
def test_a_run_that_diverged_is_not_done_again_for_another(
    tmp_path, monkeypatch, capsys
):
    cells = (
        Cell(experiment=STATIC, row="first", column="0"),
        Cell(experiment=PRUNED, row="second", column="1", after=STATIC),
    )
    chain = dataclasses.replace(SMALL, cells=cells)
    given = {"chosen": chain, "seeds": (1,), "monkeypatch": monkeypatch}
    for _ in range(2):
        assert runner(tmp_path, **given).run() == 1
        (row,) = results.read("small", tmp_path)
        assert row.status == "diverged"
    assert "Not finished" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_cannot_be_measured_is_no_row(tmp_path, monkeypatch, capsys):
    def measure(run):
        if "dense" in run.path.name:
            raise RunError("It has no scores.")
        return published.last_accuracy(run)

    chosen = dataclasses.replace(SMALL, measure=measure)
    assert runner(tmp_path, chosen=chosen, monkeypatch=monkeypatch).run() == 1
    found = {row.experiment for row in results.read("small", tmp_path)}
    assert found == {PRUNED, STATIC}
    printed = capsys.readouterr().out
    assert f"{DENSE}, seed 1: It has no scores." in printed


@pytest.mark.slow
def test_a_row_names_the_commits_that_its_run_was_trained_with(
    tmp_path, monkeypatch
):
    failing = "import sys; sys.exit(1)"
    begun = runner(tmp_path, failing, seeds=(0,), monkeypatch=monkeypatch)
    assert begun.run() == RUN_ERROR
    later = runner(tmp_path, seeds=(0,), monkeypatch=monkeypatch)
    later.commit = "def"
    assert later.run() == 0
    rows = {row.experiment: row for row in results.read("small", tmp_path)}
    assert rows[DENSE].commit == rows[STATIC].commit == "abc def"
    # It had not begun, since the dense network was not there.
    assert rows[PRUNED].commit == "def"
    results.check_commits(rows.values(), "def", mixed=True)
    with pytest.raises(InputError, match="def, and abc in"):
        results.check_commits(rows.values(), "def")


@pytest.mark.slow
def test_a_run_that_fails_is_no_row(tmp_path, monkeypatch, capsys):
    script = "import sys; sys.exit('No space is left on the disk.')"
    failing = runner(tmp_path, script, monkeypatch=monkeypatch)
    assert failing.run() == 1
    assert results.read("small", tmp_path) == []
    printed = capsys.readouterr().out
    assert "exit code 1; No space is left" in printed
    assert "6 runs are left" in printed


@pytest.mark.slow
def test_a_training_that_diverges_says_so_in_its_last_line(tmp_path):
    code, _, errors = run(
        "train.py",
        "--learning_rate=1e30",
        "--epochs=1",
        "--run_dir=run",
        folder=tmp_path,
    )
    assert code == RUN_ERROR
    assert table.NOT_FINITE in errors.splitlines()[-1]


STOPPED = """
import pathlib, signal, sys, time
flags = dict(flag[2:].split("=", 1) for flag in sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
pathlib.Path(flags["run_dir"] + ".begun").touch()
time.sleep(600)
"""


@pytest.mark.slow
def test_a_table_that_is_told_to_stop_stops_its_runs(
    tmp_path, monkeypatch, capsys
):
    stopped = runner(tmp_path, STOPPED, monkeypatch=monkeypatch)
    start = stopped._start

    def started(job):
        start(job)
        while not pathlib.Path(f"{job.folder}.begun").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(stopped, "_start", started)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        assert stopped.run() == 75
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert not stopped.running
    assert results.read("small", tmp_path) == []
    printed = capsys.readouterr().out
    assert "Stopped as it was told to; what was trained is saved" in printed


@pytest.mark.slow
def test_a_run_that_a_killed_table_has_left_is_named(
    tmp_path, monkeypatch, capsys
):
    # It writes its progress to the same log.
    script = """
import sys
sys.stderr.write("Another process is training in 'a'.\\n")
print("step 260/540", flush=True)
sys.exit(1)
"""
    left = runner(tmp_path, script, seeds=(0,), monkeypatch=monkeypatch)
    assert left.run() == RUN_ERROR
    printed = capsys.readouterr().out
    assert "exit code 1; Another process is training in 'a'." in printed


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--jobs=0", "`jobs` must be at least 1"),
        ("--minutes=-1", "`minutes` must be positive"),
        ("--minutes=nan", "`minutes` must be positive"),
        ("--seeds=-1", "`seeds` must be at least 0"),
        ("--data_dir=/proc/none", "`data_dir` must be a folder"),
        ("--runs=/proc/none", "`runs` must be a folder that can be written"),
        (f"--results={__file__}", "`results` must be a folder that can be"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(flag, message):
    with pytest.raises(InputError, match=message):
        table.main(["dynamic_sparse", flag])


@pytest.mark.slow
def test_what_one_run_is_refused_for_is_not_asked_again(
    tmp_path, monkeypatch, capsys
):
    refusing = "import sys; print('No data.', file=sys.stderr); sys.exit(2)"
    refused = runner(tmp_path, refusing, jobs=1, monkeypatch=monkeypatch)
    assert refused.run() == INPUT_ERROR
    printed = capsys.readouterr().out
    assert printed.count("exit code 2; No data.") == 1
    assert "6 runs are left" in printed


@pytest.mark.slow
def test_no_run_outlives_a_table_that_fails(tmp_path, monkeypatch):
    failing = runner(tmp_path, STOPPED, monkeypatch=monkeypatch)
    monkeypatch.setattr(failing, "_collect", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failing.run()
    assert failing.running
    assert all(one.returncode is not None for one in failing.running)
