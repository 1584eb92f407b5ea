"""The command that runs published tables, with trainings that are scripts."""

import dataclasses
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cb.errors import RUN_ERROR
from cb.errors import InputError
from cb.runs.directory import RunDirectory
from experiments import figures
from experiments import pages
from experiments import published
from experiments import results
from experiments import table
from experiments.published import Cell
from experiments.published import Published
from experiments.published import Table
from experiments.published import bundles
from tests.commands import run

DENSE, PRUNED, STATIC = (
    f"dynamic_sparse/mnist_{name}"
    for name in ("00_dense", "01_pruned_s99", "13_static_s99")
)
SMALL = Table(
    name="small",
    title="A small table",
    source="",
    protocol="",
    goal="",
    axis="sparsity",
    cells=(
        Cell(experiment=PRUNED, row="pruned", column="0.99", after=DENSE),
        Cell(experiment=STATIC, row="static", column="0.99"),
        Cell(experiment=DENSE, row="dense", column="0"),
    ),
    seeds=(0, 1),
)
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


def runner(folder, training=TRAINING, jobs=2, monkeypatch=None):
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
        ]
    )
    return table.Runner(SMALL, "abc", given)


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
    chain = dataclasses.replace(SMALL, cells=cells, seeds=(0,))
    monkeypatch.setitem(globals(), "SMALL", chain)
    assert runner(tmp_path, monkeypatch=monkeypatch).run() == 0
    rows = results.read("small", tmp_path)
    assert len(rows) == 3
    (tmp_path / "small.csv").unlink()
    results.append("small", rows[:-1], tmp_path)
    shutil.rmtree(tmp_path / "runs")
    assert runner(tmp_path, monkeypatch=monkeypatch).run() == 0
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
    chain = dataclasses.replace(SMALL, cells=cells, seeds=(1,))
    monkeypatch.setitem(globals(), "SMALL", chain)
    for _ in range(2):
        assert runner(tmp_path, monkeypatch=monkeypatch).run() == 1
        (row,) = results.read("small", tmp_path)
        assert row.status == "diverged"
    assert "Not finished" in capsys.readouterr().out


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
def test_a_table_that_is_told_to_stop_stops_its_runs(tmp_path, monkeypatch):
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


def line(value, seed, status="done", flags=None, experiment=STATIC):
    """Return a line of the small table."""
    known = published.by_name()[experiment]
    return results.Result(
        experiment,
        seed,
        "accuracy" if status == "done" else "",
        value,
        status,
        "2026-11-29",
        "a machine",
        "abc",
        flags or results.protocol(known.flags),
    )


def test_lines_come_back_as_they_were_written(tmp_path):
    written = [line(50.0, 0), line(None, 1, "diverged")]
    results.append("small", written[:1], tmp_path)
    results.append("small", written[1:], tmp_path)
    assert results.read("small", tmp_path) == written


def test_commits_are_not_mixed_unless_told(tmp_path):
    found = [line(50.0, 0)]
    results.check_commits(found, "abc")
    results.check_commits(found, "def", mixed=True)
    with pytest.raises(InputError, match="from one commit.*def, and abc"):
        results.check_commits(found, "def")


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


@pytest.mark.parametrize(
    "text", ["", "experiment,seed\na,0\n", "{head}\na/b,0,accuracy,98\n"]
)
def test_a_damaged_file_is_named(tmp_path, text):
    file = tmp_path / "small.csv"
    file.write_text(text.format(head=",".join(results.Result._fields)))
    with pytest.raises(InputError, match="small.csv' must have lines of exp"):
        results.read("small", tmp_path)


def test_a_readme_without_the_place_of_the_table_is_refused():
    with pytest.raises(InputError, match="README must have a line"):
        pages.readme("# A project")


@pytest.mark.slow
def test_what_one_run_is_refused_for_is_not_asked_again(
    tmp_path, monkeypatch, capsys
):
    refusing = "import sys; print('No data.'); sys.exit(2)"
    refused = runner(tmp_path, refusing, jobs=1, monkeypatch=monkeypatch)
    assert refused.run() == RUN_ERROR
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


@pytest.mark.slow
def test_changed_code_has_no_commit(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)

    (tmp_path / "cb").mkdir()
    (tmp_path / "cb" / "code.py").write_text("one = 1\n")
    git("init", "--quiet")
    git("add", ".")
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    git(*who, "commit", "--quiet", "--message=one")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    assert len(results.code_commit()) >= 7
    # Results are no code.
    (tmp_path / "results.csv").write_text("")
    assert results.code_commit()
    (tmp_path / "cb" / "code.py").write_text("one = 2\n")
    with pytest.raises(InputError, match="committed state"):
        results.code_commit()


def test_agreement_is_that_of_the_formulas():
    ours = [97.8, 97.9, 97.6]
    spread = float(np.std(ours, ddof=1))
    mean = float(np.mean(ours))
    for kind, most in (
        ({"deviation": 0.1}, 2 * math.sqrt(0.1**2 + spread**2)),
        ({"error": 0.05}, 2 * math.sqrt(0.05**2 + spread**2 / 3) + 0.1),
        ({"within": 0.3}, 0.3),
        ({"single": True}, 2 * spread),
    ):
        for sign in (-1, 1):
            near = Published(mean=mean + sign * (most - 1e-6), **kind)
            far = Published(mean=mean + sign * (most + 1e-6), **kind)
            assert near.agrees(ours) is True
            assert far.agrees(ours) is False
            assert near.agrees(ours[:2]) is None
    assert Published(mean=97.0).agrees(ours) is None


def test_pages_count_seeds_and_leave_out_other_protocols(tmp_path):
    lines = [
        line(48.0, 0),
        line(50.0, 1),
        line(None, 2, "diverged"),
        line(99.0, 3, flags="--epochs=1"),
    ]
    results.append("small", lines, tmp_path)
    text = "\n".join(pages.section(SMALL, tmp_path))
    assert "49.49 ± 5.89 | 49.00 ± 1.41 (2), 1 diverged | compared |" in text
    assert "| [dense]" in text and "98.69 |  | not run |" in text
    assert "2026-11-29, a machine, commit abc" in text


def test_the_catalogue_shows_the_accuracy_of_runs_that_measure_errors():
    # Of seeds 0 to 2, errors of 1.81, 1.86 and 1.79 in the repository.
    row = "89.1 % sparse | 98.52 | 98.18 ± 0.04 (3) | "
    assert row in pages.experiments_page()


def test_pages_name_the_commits_of_what_they_count(tmp_path):
    lines = [line(48.0, 0), line(50.0, 1, flags="--epochs=1")]
    lines[1] = lines[1]._replace(commit="old")
    results.append("small", lines, tmp_path)
    text = "\n".join(pages.section(SMALL, tmp_path))
    assert "commit abc." in text and "old" not in text


def test_figures_show_rows_of_several_columns(tmp_path):
    chosen = published.tables()["dynamic_sparse"]
    results.append("dynamic_sparse", [line(50.0, 0)], tmp_path)
    found = figures.curves(chosen, tmp_path)
    assert [*found] == ["dynamic", "static", "pruned"]
    place, theirs, ours = found["static"][-1]
    assert (place, theirs.mean, ours.values) == (0.99, 49.49, [50.0])
    file = tmp_path / "figure.png"
    figures.draw(chosen, file, tmp_path)
    assert file.read_bytes().startswith(b"\x89PNG")
    accuracies = np.array([10.0, 50.0, 98.5, 99.9])
    there = figures._by_error(accuracies)
    assert (np.diff(there) > 0).all()
    np.testing.assert_allclose(figures._of_error(there), accuracies)


def test_figures_show_tables_without_columns_row_by_row(tmp_path):
    chosen = published.tables()["set_keras"]
    name = "set_keras/cifar10_set"
    done = line(57.5, 0, experiment=name)
    done = done._replace(name="accuracy after 50 epochs")
    results.append("set_keras", [done], tmp_path)
    found = figures.dots(chosen, tmp_path)
    mean, ours = found["SET after 50 epochs"]
    assert mean == 57.12
    assert {column: one.values for column, one in ours.items()} == {
        "4000-1000-4000": [57.5]
    }
    assert found["SET after 100 epochs"] == (60.76, {})
    assert len(found) == 6
    file = tmp_path / "figure.png"
    figures.draw(chosen, file, tmp_path)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert not figures.dots(published.tables()["dynamic_sparse"], tmp_path)
    assert not figures.dots(published.tables()["rigl"], tmp_path)


def test_every_cell_is_an_experiment_and_has_its_place():
    known = published.by_name()
    for found in published.tables().values():
        places = [(cell.row, cell.column) for cell in found.cells]
        assert len(set(places)) == len(places)
        named = [cell.experiment for cell in found.cells]
        assert len(set(named)) == len(named)
        for cell in found.cells:
            assert cell.experiment in known
            assert cell.after is None or cell.after in named


def test_results_are_complete_lines():
    for name in published.tables():
        for result in results.read(name):
            assert result.date and result.hardware and result.commit
            assert (result.status == results.DONE) == bool(result.name)
            assert json.loads(str(result.seed)) >= 0


@pytest.mark.slow
def test_bundles_are_those_of_the_last_block_after_the_training(tmp_path):
    flags = ("--model=fnn(blocks=(3,), width=6)", "--epochs=2", "--seed=1")
    flags += ("--sparsity=0", "--reallocation=static", "--checkpoint_every=1")
    code, _, errors = run("train.py", *flags, "--run_dir=run", folder=tmp_path)
    assert code == 0, errors
    trained = RunDirectory(str(tmp_path / "run"))
    found = bundles.conflicts(trained)
    accuracy = 100 * trained.read_summary()["test"]["accuracy"]
    assert found["layers"] == 3
    assert found["accuracy"] == accuracy
    # A checkpoint and its three blocks are measured at once.
    lines = trained.conflicts_file.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    (count,) = {
        row[3] for row in rows if row[:3] == ["2", "block_3", "bundles"]
    }
    assert found["bundles of the last block"] == float(count)
    assert {row[3] for row in rows if row[2] == "samples"} == {"512.0"}
