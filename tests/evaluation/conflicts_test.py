"""Bundles at the layers of a run's checkpoints."""

import csv

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

from cb import datasets
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import read_all
from cb.config import Config
from cb.errors import InputError
from cb.evaluation.conflicts import evaluate_conflicts
from cb.evaluation.opened_run import OpenedRun
from cb.evaluation.scores import evaluate_scores
from cb.metrics.recorder import Recorder
from cb.runs.checkpoint import Checkpoint
from cb.runs.checkpoint import CheckpointFolder
from cb.schedules import TrainingLength
from cb.training.compilation import training_step
from cb.training.data import training_sample
from tests.commands import run
from tests.made_runs import FNN
from tests.made_runs import make_run


def opened(directory, checkpoint="all"):
    return OpenedRun(str(directory.path), checkpoint, strategy="none")


def rows(file):
    with open(file, newline="") as opened:
        return list(csv.DictReader(opened))


def values(table, name, layer):
    return {
        row["checkpoint"]: float(row["value"])
        for row in table
        if (row["name"], row["layer"]) == (name, layer)
    }


def entropy_of_labels():
    labels = datasets.load("digits", None).train.labels
    p = np.bincount(labels) / len(labels)
    return len(labels), -np.sum(p * np.log(p + 1e-5))


def test_the_integral_is_the_mean_over_the_checkpoints_measured(tmp_path):
    directory = make_run(tmp_path / "run", 7)
    number, entropy = entropy_of_labels()
    everything = {"all_layers": True, "num_samples": number}
    over_all = evaluate_conflicts(opened(directory), **everything)
    over_five = evaluate_conflicts(opened(directory, "last5"), **everything)
    table = rows(directory.conflicts_file)
    assert list(table[0]) == ["checkpoint", "layer", "name", "value"]
    # Zeros put all examples into one bundle, of two checkpoints in each.
    assert over_all["block_2"] == pytest.approx(2 * entropy / 8, abs=1e-4)
    assert over_five["block_2"] == pytest.approx(2 * entropy / 5, abs=1e-4)
    found = values(table, "integral", "block_2")
    assert found == {
        "all": over_all["block_2"],
        "last5": over_five["block_2"],
    }
    assert list(values(table, "entropy", "block_1")) == [
        "initial",
        *"1234567",
    ]
    bundles = values(table, "bundles", "block_3")
    assert bundles["6"] == bundles["7"] == 1
    assert bundles["5"] > 1
    assert set(values(table, "samples", "block_1").values()) == {number}


def test_the_score_is_the_mean_of_the_last_five_trained(tmp_path):
    directory = make_run(tmp_path / "run", 7)
    means = {
        selection: evaluate_scores(opened(directory, selection))
        for selection in ("last5", "all")
    }
    table = rows(directory.evaluation_file)
    losses = {
        row["checkpoint"]: float(row["value"])
        for row in table
        if row["name"] == "loss"
    }
    expected = np.mean([losses[epoch] for epoch in "34567"])
    assert losses["1"] != losses["7"]
    for mean in means.values():
        assert mean["loss"] == pytest.approx(expected)
    assert losses["last5"] == pytest.approx(expected)
    assert not directory.conflicts_file.exists()


def test_a_last_checkpoint_inside_an_epoch_counts_too(tmp_path):
    directory = make_run(tmp_path / "run", 1)
    folder = CheckpointFolder(directory.checkpoints)
    arrays, _ = folder.load(1)
    meta = {"step": 33, "epoch": 1, "batch": 5}
    folder.save("last", Checkpoint(arrays, meta))
    evaluate_scores(opened(directory))
    names = {row["checkpoint"] for row in rows(directory.evaluation_file)}
    assert names == {"initial", "1", "last", "last5"}


def test_examples_are_fixed_and_come_as_they_are_trained_on_but_unchanged(
    tmp_path,
):
    run = opened(make_run(tmp_path / "run", 1), "last")
    source = run.data.source
    x, labels = training_sample(run.config, run.data, 40)
    again, _ = training_sample(run.config, run.data, 40)
    np.testing.assert_array_equal(x, again)
    train = source.train
    known = {
        (row.tobytes(), label)
        for row, label in zip(
            train.features, train.labels.tolist(), strict=True
        )
    }
    drawn = {
        (row.tobytes(), label)
        for row, label in zip(np.asarray(x), labels.tolist(), strict=True)
    }
    assert drawn <= known


def test_the_columns_of_the_source_are_written_on_request(tmp_path):
    directory = make_run(tmp_path / "run", 2)
    integrals = evaluate_conflicts(opened(directory), all_layers=True)
    assert not directory.published.exists()
    evaluate_conflicts(
        opened(directory), all_layers=True, published_columns=True
    )
    with open(directory.published / "test.csv") as file:
        header, row = csv.reader(file)
    assert header == [
        "num_bundle",
        "bundle_entropy",
        "test_loss",
        "test_accuracy",
    ]
    bundles = values(rows(directory.conflicts_file), "bundles", "block_3")
    means = {
        row["name"]: float(row["value"])
        for row in rows(directory.evaluation_file)
        if row["checkpoint"] == "last5"
    }
    assert [float(value) for value in row] == [
        bundles["2"],
        integrals["block_3"],
        means["loss"],
        means["accuracy"],
    ]
    with open(directory.published / "conflicting_layers.csv") as file:
        table = [[float(value) for value in row] for row in csv.reader(file)]
    assert [row[1] for row in table] == list(integrals.values())
    assert table[-1][0] == bundles["2"]


def test_a_larger_batch_and_its_learning_rate_are_those_of_an_update():
    config = Config(
        batch_size=32,
        gradient_accumulation=4,
        learning_rate=0.1,
        learning_rate_scaling="linear",
        reference_batch_size=64,
        learning_rate_schedule="cosine",
    )
    length = TrainingLength(total_steps=100, steps_per_epoch=10)
    found = training_step(config, length)
    assert found == {"learning_rate": 0.2, "batch_size": 128}


@pytest.mark.parametrize(
    "flags, highest",
    [
        ({"regime": "{0: {learning_rate: 0.1}, 2: {learning_rate: 0.4}}"}, 0.4),
        ({"learning_rate_schedule": "step(at=0.5, factor=3.0)"}, 0.3),
        ({"learning_rate_schedule": "cosine(warmup='3ep')"}, 0.1),
        ({"learning_rate_schedule": "cosine", "warmup_epochs": 3}, 0.1),
    ],
)
def test_the_highest_learning_rate_is_that_of_the_whole_schedule(
    flags, highest
):
    config = Config(learning_rate=0.1, **flags)
    length = TrainingLength(total_steps=77, steps_per_epoch=7)
    found = training_step(config, length)["learning_rate"]
    assert found == pytest.approx(highest)


def test_activations_that_are_not_finite_are_no_absence_of_conflict(tmp_path):
    directory = make_run(tmp_path / "run", 1)
    folder = CheckpointFolder(directory.checkpoints)
    arrays, meta = folder.load(1)
    arrays["model/5/bias"] = np.full_like(arrays["model/5/bias"], np.inf)
    folder.save(1, Checkpoint(arrays, meta))
    assert np.isnan(evaluate_conflicts(opened(directory, "1"))["block_3"])


@pytest.mark.parametrize(
    "model, arguments, message",
    [
        (FNN, {"num_samples": 5000}, "at most 1437.*size=5000"),
        (FNN, {"num_samples": 0}, "conflicting_samples_size=0"),
        (FNN, {"checkpoint": "9"}, "'9' does not exist"),
        ("mlp(units=())", {}, "has nothing to record"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, model, arguments, message):
    directory = make_run(tmp_path / "run", 1, model)
    before = sorted(directory.path.rglob("*"))
    with pytest.raises(InputError, match=message):
        run = opened(directory, arguments.pop("checkpoint", "all"))
        evaluate_conflicts(run, **arguments)
    assert sorted(directory.path.rglob("*")) == before


def test_the_command_measures_the_last_layer_or_all(tmp_path):
    directory = make_run(tmp_path / "run", 1)
    flags = ["--conflicting_samples_size=32", "--run_dir=run"]
    code, output, errors = run("evaluate.py", *flags, folder=tmp_path)
    assert code == 0, errors
    assert "32 training examples" in output and "block_3" in output
    table = rows(directory.conflicts_file)
    assert {row["layer"] for row in table} == {"block_3"}
    flags = ["--all_conflict_layers=True", "--run_dir=run"]
    code, output, errors = run("evaluate.py", *flags, folder=tmp_path)
    assert code == 0, errors
    added = rows(directory.conflicts_file)[len(table) :]
    assert {row["layer"] for row in added} == {"block_1", "block_2", "block_3"}
    events = EventAccumulator(str(directory.tensorboard / "conflicts_all"))
    events.Reload()
    picture = directory.conflicts_file.with_suffix(".png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    # Written anew by the second command.
    shown = events.Tensors("bundles/block_3/entropy")
    assert [event.step for event in shown] == [0, 28]
    assert "bundles/entropy_over_time" in events.Tags()["tensors"]


def rows_of_the_source(run, x, labels):
    """Bundles and entropies of all layers, as the published code finds them."""
    step = training_step(run.config, run.data.training_length())
    model = run.model
    outputs = {layer.name: layer.output for layer in model.layers}
    number = sum(name.endswith("_add") for name in outputs)
    wanted = [
        outputs[name.format(block)]
        for block in range(1, number + 1)
        for name in (
            "block_{}_conv_1",
            "block_{}_conv_2",
            "block_{}_norm_2",
            "block_{}",
        )
    ]
    found = keras.Model(model.inputs[0], wanted)(x, training=False)
    found = [np.array(one) for one in found]
    amplitude = max(np.abs(w.numpy()).max() for w in model.trainable_weights)
    rows = []
    for first, second, branch, output in zip(*[iter(found)] * 4, strict=True):
        scales = [
            np.float32(1) / np.sqrt(np.var(one) + np.float32(1e-6))
            for one in (first, second)
        ]
        for a in (branch * scales[1] * scales[0], output):
            change = a * np.float32(step["learning_rate"])
            change = change * np.float32(1 / step["batch_size"])
            grid = (amplitude - change).reshape(len(a), -1)
            _, bundles = np.unique(grid, axis=0, return_inverse=True)
            counts = np.zeros((bundles.max() + 1, 10))
            np.add.at(counts, (bundles, labels), 1)
            sizes = counts.sum(1)
            p = counts / sizes[:, None]
            each = np.maximum(-(p * np.log(p + 1e-5)).sum(1), 0)
            rows.append((len(sizes), (each * sizes).sum() / len(labels)))
    return rows


def test_published_rows_are_branch_and_output_by_the_whole_model(tmp_path):
    directory = make_run(
        tmp_path / "run", 1, "bundle_resnet(blocks=(1, 1, 0, 0))"
    )
    run = opened(directory, "last")
    run.load("last")
    # So small that outputs fall together, where the branches, which are
    # scaled, do not.
    gamma = run.model.get_layer("stem_norm").gamma
    gamma.assign(np.full(gamma.shape, 1e-5))
    arrays = read_all(model_variables(run.model))
    folder = CheckpointFolder(directory.checkpoints)
    folder.save("last", Checkpoint(arrays, {"step": 9, "epoch": 1, "batch": 0}))
    evaluate_conflicts(
        run, all_layers=True, num_samples=96, published_columns=True
    )
    x, labels = training_sample(run.config, run.data, 96)
    expected = rows_of_the_source(run, x, labels)
    with open(directory.published / "conflicting_layers.csv") as file:
        ours = [tuple(map(float, row)) for row in csv.reader(file)]
    assert len(ours) == 4
    assert len({bundles for bundles, _ in expected}) > 1
    assert [row[0] for row in ours] == [row[0] for row in expected]
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    names = [row["layer"] for row in rows(directory.conflicts_file)]
    assert names[0] == "block_1_branch"


def test_amplitude_and_layers_can_be_chosen(tmp_path):
    run = opened(make_run(tmp_path / "run", 1, "bundle_resnet(depth=4)"), "1")
    x, labels = training_sample(run.config, run.data, 64)
    run.load("1")
    step = training_step(run.config, run.data.training_length())
    for amplitude in ("layer", "model"):
        (measured,) = Recorder(run.model, "pool", amplitude).measure(
            x, labels, num_classes=10, **step
        )
        found = evaluate_conflicts(run, layers=["pool"], amplitude=amplitude)
        assert found == {"pool": pytest.approx(measured.entropy)}
    with pytest.raises(InputError, match="`layers`"):
        evaluate_conflicts(run, all_layers=True, layers=["pool"])
