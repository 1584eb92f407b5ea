"""The published tables, and what is measured of their runs."""

import math

import keras
import numpy as np
import pytest

import cb
from cb.errors import RunError
from cb.runs.directory import RunDirectory
from experiments import published
from experiments.published import Published
from experiments.published import bundles
from experiments.published import large_batch
from experiments.published import rigl
from experiments.tables import lottery_ticket
from tests.commands import run


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
        assert near.agrees(ours[:2], diverged=1) is False
    assert Published(mean=97.0).agrees(ours) is None
    assert Published(mean=97.0).agrees([], diverged=3) is None
    unknown = Published(mean=97.0, error=0.05, judged=False)
    assert unknown.agrees(ours) is None


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


@pytest.mark.slow
def test_bundles_that_cannot_be_measured_are_no_result(tmp_path):
    with pytest.raises(RunError, match="evaluate.py failed: .*nothing"):
        bundles.conflicts(RunDirectory(str(tmp_path / "nothing")))


def finished_run(folder, accuracies):
    """Return a run with test accuracies after its epochs."""
    run = RunDirectory(str(folder))
    run.metrics_file.parent.mkdir(exist_ok=True)
    rows = [
        f"{10 * epoch},{epoch},test/accuracy,{accuracy}\n"
        f"{10 * epoch},{epoch},val/accuracy,0.999\n"
        for epoch, accuracy in enumerate(accuracies, start=1)
    ]
    run.metrics_file.write_text("step,epoch,name,value\n" + "".join(rows))
    run.write_summary({"test": {"accuracy": accuracies[-1]}})
    return run


def test_large_batches_are_scored_by_the_best_epoch_of_the_test_set(tmp_path):
    run = finished_run(tmp_path, [0.5, 0.98, 0.97])
    assert large_batch.scores(run) == {
        "accuracy": pytest.approx(97),
        "accuracy of the best epoch": pytest.approx(98),
    }


def test_accuracies_are_those_of_the_epochs_or_there_are_none(tmp_path):
    run = finished_run(tmp_path, [0.5, 0.98, 0.97])
    assert published.accuracies_after(run, (1, 3)) == {
        "accuracy after 1 epochs": pytest.approx(50),
        "accuracy after 3 epochs": pytest.approx(97),
    }
    with pytest.raises(RunError, match=r"none of \[4, 5\]"):
        published.accuracies_after(run, (1, 4, 5))


def test_scores_that_are_not_there_are_said(tmp_path):
    run = RunDirectory(str(tmp_path))
    with pytest.raises(RunError, match="must have ended with an accuracy"):
        published.last_accuracy(run)
    run.metrics_file.write_text("step,epoch,name,value\n10,1,loss,0.5\n")
    with pytest.raises(RunError, match="from --evaluate_test"):
        published.per_epoch(run)


def test_tickets_keep_what_the_source_keeps():
    """It keeps what is larger than a place in the sorted weights."""
    random = np.random.default_rng(0)
    for layer, size in lottery_ticket.SIZES.items():
        left = np.sort(np.abs(random.normal(size=size)))
        for level in range(1, 4):
            place = round(lottery_ticket.PRUNED[layer] * left.size)
            left = left[left > left[place]]
            assert lottery_ticket.counts(level)[layer] == left.size


def test_a_structure_is_what_lies_on_a_way_from_pixels_to_classes():
    kernels = [
        # Pixel 2 leads nowhere; nothing leads to unit 1; pixel 4 leads to
        # unit 3 alone, from which nothing leads on.
        np.array(
            [
                [1, 0, 2, 0],
                [0, 0, 3, 1],
                [0, 0, 0, 0],
                [4, 0, 0, 0],
                [0, 0, 0, 5],
            ]
        ),
        np.array([[1, 0, 2], [3, 4, 0], [0, 0, 6], [0, 0, 0]]),
        np.array([[1, 2], [3, 4], [5, 6]]),
    ]
    x = y = keras.Input((5,))
    for units in (4, 3):
        y = keras.layers.Dense(units, activation="relu")(y)
    model = keras.Model(x, keras.layers.Dense(2)(y))
    model = cb.sparsify(model, 0.5, exclude=[model.layers[-1].name])
    for layer, kernel in zip(model.layers[1:], kernels, strict=True):
        variables = {variable.name: variable for variable in layer.variables}
        if "mask" in variables:
            variables["mask"].assign(kernel != 0)
        variables["kernel"].assign(kernel)
    # Units 0 and 2, then 0 and 2, and with them pixels 0, 1 and 3.
    weights = 4 + 3 + 4
    assert rigl.remains(model) == {
        "input pixels": 3,
        "units of the first layer": 2,
        "units of the second layer": 2,
        "thousands of operations": 2 * weights / 1000,
        "bytes": 4 * (weights + 2 + 2 + 2) + (3 * 2 + 2 * 2) / 8,
    }
