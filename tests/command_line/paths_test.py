"""Runs in folders of any name, moved, read-only, and named by colons."""

import functools
import shutil
import subprocess

import pytest

from tests import forks
from tests.commands import run

SMALL = ["--model=mlp(units=(16,))", "--limit_examples=200", "--epochs=1"]
# All that TensorFlow, shells and flags could take for something else.
NAME = "2026-01-31_12:30 units=[16]*? {a,b}\\d~ é\U0001f600 $x$ #1 50%&'\""


def succeed(script, *flags, **options):
    code, output, errors = run(script, *flags, **options)
    assert code == 0, errors
    return output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    succeed("train.py", *SMALL, f"--run_dir={NAME}/run", folder=folder)
    return folder


def test_a_run_may_have_any_name(folder):
    made = folder / NAME / "run"
    assert (made / "summary.json").exists()
    assert (made / "export" / "saved_model.pb").exists()
    again = succeed("train.py", *SMALL, f"--run_dir={made}", folder=folder)
    assert "Finished already" in again
    scored = succeed("evaluate.py", f"--run_dir={made}", folder=folder)
    exported = succeed(
        "evaluate.py", "--export=sparse", f"--run_dir={made}", folder=folder
    )
    assert "(200 examples)" in scored
    assert f"Export       {made / 'export'}" in exported
    alone = succeed(
        "evaluate.py",
        "--dataset=digits",
        f"--saved_model={made}/export",
        folder=folder,
    )
    assert f"{made}/export: test  accuracy" in alone


def test_a_run_of_any_name_is_plotted(folder):
    succeed("cb/plots/__main__.py", f"{NAME}/run", folder=folder)
    succeed("cb/plots/__main__.py", f"{NAME}={NAME}/run", folder=folder)


def test_a_run_with_colons_in_its_name_can_be_started_from(folder):
    source = f"{NAME}/run"
    flags = [*SMALL, "--run_dir=weights", f"--initialize_from={source}"]
    output = succeed("train.py", *flags, folder=folder)
    assert f"Starting from the weights and masks of {source} (last)" in output
    copied = f"static(copy_mask_from={source + ':last'!r}"
    flags = [*SMALL, "--run_dir=masks"]
    flags += [f"--reallocation={copied}, initial_weights=True)"]
    succeed("train.py", *flags, folder=folder)


def test_a_moved_run_is_scored_plotted_repeated_and_made_longer(folder):
    place = folder / "moved" / "to"
    shutil.copytree(folder / NAME / "run", place)
    first = succeed("evaluate.py", f"--run_dir={NAME}/run", folder=folder)
    moved = succeed("evaluate.py", f"--run_dir={place}", folder=folder)
    assert first.partition(": test")[2] == moved.partition(": test")[2]
    succeed("cb/plots/__main__.py", str(place), folder=folder)
    repeated = folder / "repeated"
    config = f"--config={place}/config.json"
    succeed("train.py", config, f"--run_dir={repeated}", folder=folder)
    metrics = [p / "metrics.csv" for p in (place, repeated)]
    assert metrics[0].read_text() == metrics[1].read_text()
    longer = [f"--run_dir={place}", *SMALL, "--epochs=2"]
    output = succeed("train.py", *longer, folder=folder)
    assert "Resuming after epoch 1" in output


@pytest.fixture
def read_only(folder):
    """Yield a run that may only be read, and see that it stays the same."""
    made = folder / "archive"
    if not made.exists():
        shutil.copytree(folder / NAME / "run", made)
        subprocess.run(["chmod", "-R", "a-w", made], check=True)
    before = listing(made)
    yield made
    assert listing(made) == before


def as_a_user(folder):
    return {"folder": folder, "prepare": [forks.drop_privileges]}


def listing(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--checkpoint=all"], "mean of the last 1: test  accuracy"),
        (["--export=compact"], "Export       "),
        (["--all_conflict_layers"], "hidden"),
    ],
)
def test_a_read_only_run_is_measured(read_only, folder, flags, expected):
    output = succeed(
        "evaluate.py", "--run_dir=archive", *flags, **as_a_user(folder)
    )
    assert expected in output
    assert output.count("archive cannot be written; results are kept in") == 1


def test_a_read_only_run_is_plotted_and_repeated(read_only, folder):
    here = as_a_user(folder)
    succeed("cb/plots/__main__.py", "archive", **here)
    output = succeed("train.py", *SMALL, "--run_dir=archive", **here)
    assert "Finished already" in output
    code, _, errors = run(
        "train.py", *SMALL, "--run_dir=archive", "--epochs=2", **here
    )
    assert (code, errors.count("\n")) == (2, 1)
    assert "`run_dir` must be a folder that can be written" in errors


def test_home_is_written_out(folder):
    set_home = functools.partial(forks.set_variable, "HOME", str(folder))
    options = {"folder": folder, "prepare": [set_home]}
    succeed("train.py", *SMALL, "--run_dir=~/at_home", **options)
    succeed("evaluate.py", "--run_dir=~/at_home", **options)
    assert (folder / "at_home" / "summary.json").exists()
    assert not (folder / "~").exists()


@pytest.mark.parametrize(
    "name", ["caf\udce9", "x" * 300, f"{'y/' * 3000}", "file/run"]
)
def test_a_folder_that_cannot_be_made_is_refused_at_the_start(folder, name):
    (folder / "file").touch()
    code, output, errors = run(
        "train.py", *SMALL, f"--run_dir={name}", folder=folder
    )
    assert (code, output.count("\n"), errors.count("\n")) == (2, 1, 1)
    assert output.startswith("Importing TensorFlow")
    assert "Argument `run_dir` must be a " in errors
