"""Run folders are read as they were written."""

import numpy as np
import pytest

from cb.errors import InputError
from cb.plots.reading import read_run
from cb.plots.reading import read_runs


def test_series_hold_what_was_written_in_order(make_run):
    rows = [
        (20, 2, "loss", 0.5),
        (10, 1, "loss", 0.1 + 0.2),
        (20, 2, "late", 7.0),
        (20, 2, "loss", 0.25),
    ]
    run = read_run(make_run("a", rows, seed=3))
    assert run.label == "a"
    assert run.config.seed == 3
    np.testing.assert_array_equal(run.series["loss"].steps, [10, 20])
    np.testing.assert_array_equal(run.series["loss"].epochs, [1, 2])
    # Of two values at a step the later one counts.
    np.testing.assert_array_equal(run.series["loss"].values, [0.1 + 0.2, 0.25])
    assert run.series["late"].last == 7.0
    assert run.updates_per_epoch == 10


def test_a_line_that_is_being_written_is_left_out(make_run):
    path = make_run("a", [(1, 1, "loss", 0.5)])
    with open(f"{path}/metrics.csv", "a") as file:
        file.write("2,1,loss,0.")
    assert read_run(path).series["loss"].steps.tolist() == [1]


def test_scores_are_those_of_the_last_checkpoint_on_test_examples(make_run):
    scores = [
        ("last", "test", "accuracy", 0.9),
        ("best", "test", "accuracy", 0.95),
        ("last", "train", "accuracy", 1.0),
    ]
    assert read_run(make_run("a", scores=scores)).scores == {"accuracy": 0.9}


def test_labels_may_be_given(make_run):
    first, second = make_run("a"), make_run("b=c")
    runs, skipped = read_runs([f"small batch={first}", second])
    assert [run.label for run in runs] == ["small batch", "b=c"]
    assert not skipped


def test_runs_of_folders_of_one_name_have_different_labels(make_run, tmp_path):
    for place in ("one/runs/0", "two/runs/0", "two/runs/1"):
        (tmp_path / place).mkdir(parents=True)
        make_run(f"{place}/run_seed_0")
    runs, _ = read_runs([str(tmp_path)])
    assert [run.label for run in runs] == [
        "one/runs/0/run_seed_0",
        "two/runs/0/run_seed_0",
        "1/run_seed_0",
    ]


def test_labels_say_what_differs(make_run, tmp_path):
    make_run("a", sparsity=0.5, reallocation="rigl(every=10)")
    make_run("b", sparsity=0.5, reallocation="rigl(every=20)")
    make_run("c", sparsity=0.9, reallocation="static")
    make_run("d", sparsity=0.9, reallocation="static")
    runs, _ = read_runs([str(tmp_path)])
    assert [run.label for run in runs] == [
        "sparsity=0.5, rigl(every=10)",
        "sparsity=0.5, rigl(every=20)",
        "sparsity=0.9, static c",
        "sparsity=0.9, static d",
    ]


def test_runs_of_one_label_are_refused(make_run):
    paths = make_run("a"), make_run("b")
    with pytest.raises(InputError, match="labels that differ.*'x' twice"):
        read_runs([f"x={path}" for path in paths])


def test_a_run_given_twice_is_read_once(make_run, tmp_path):
    path = make_run("a")
    runs, _ = read_runs([path, str(tmp_path), f"x={path}"])
    assert [run.label for run in runs] == ["x"]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"`config.json`. Received"):
        read_run(str(tmp_path))


def test_a_run_without_an_epoch_is_refused(make_run):
    with pytest.raises(InputError, match=r"must have `metrics.csv`"):
        read_run(make_run("a", rows=()))


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "step,epoch,name,value\n1,1,loss,much\n", "\xff"]
)
def test_another_file_is_refused(make_run, text):
    path = make_run("a")
    with open(f"{path}/metrics.csv", "w", encoding="latin-1") as file:
        file.write(text)
    with pytest.raises(InputError, match="must have the columns step,epoch"):
        read_run(path)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "checkpoint,split,name,value\nlast,test,loss,much\n",
        "\xff",
    ],
)
def test_scores_that_are_none_are_refused(make_run, text):
    path = make_run("a")
    with open(f"{path}/evaluation.csv", "w", encoding="latin-1") as file:
        file.write(text)
    message = "`evaluation.csv` must have the columns checkpoint,split"
    with pytest.raises(InputError, match=message):
        read_run(path)
