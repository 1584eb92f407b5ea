"""Training and evaluation as a user meets them."""

import csv
import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

from tests.commands import run
from tests.commands import run_new

pytestmark = pytest.mark.slow

FLAGS = [
    "--model=mlp(units=(16, 16))",
    "--reallocation=rigl(every=10, end=1.0)",
    "--epochs=4",
    "--checkpoint_every=2",
    "--evaluate_train",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Train once; return the folder, the run's folder and the output."""
    folder = tmp_path_factory.mktemp("finished")
    code, output, errors = run_new("train.py", *FLAGS, folder=folder)
    assert (code, errors) == (0, "")
    (run_dir,) = (folder / "runs").iterdir()
    return folder, run_dir, output


def rows(file):
    with open(file, newline="") as opened:
        return list(csv.DictReader(opened))


def test_summary_says_what_was_asked_and_what_was_kept(finished):
    _, run_dir, output = finished
    summary = json.loads((run_dir / "summary.json").read_text())
    weights = 64 * 16 + 16 * 16 + 16 * 10
    assert summary["masked_weights"] == weights
    assert summary["active_weights"] == round(0.1 * weights)
    for layer in summary["layers"]:
        kept = layer["active"] / layer["weights"]
        assert kept == layer["density_asked"]
        assert layer["layer"] in output
    biases = 16 + 16 + 10
    assert summary["parameters"] == summary["active_weights"] + biases
    assert f"{summary['test']['accuracy']:.4f}" in output
    assert str(run_dir.name) in output


def test_no_line_is_longer_than_a_terminal_is_wide(finished):
    *_, output = finished
    assert max(map(len, output.splitlines())) <= 80


def test_summary_counts_what_moved(finished):
    _, run_dir, output = finished
    summary = json.loads((run_dir / "summary.json").read_text())
    moved = [
        float(row["value"])
        for row in rows(run_dir / "metrics.csv")
        if row["name"].startswith("grown/")
    ]
    assert summary["reallocation/grown"] == sum(moved) > 0
    assert f"{sum(moved):,.0f} grown" in output
    assert "events      10 of rigl: " in output
    # Of ten classes nearly all labels are among the five likeliest.
    assert "top_5" not in output and "top_5_accuracy" in summary["test"]
    # Its files are mostly the program.
    assert "--export=auto" not in output


def test_summary_says_what_inference_and_training_cost(finished):
    _, run_dir, output = finished
    summary = json.loads((run_dir / "summary.json").read_text())
    active, biases = summary["active_weights"], 16 + 16 + 10
    weights = 64 * 16 + 16 * 16 + 16 * 10
    costs, training = summary["costs"], summary["training"]
    assert (costs["macs"], costs["dense_macs"]) == (active, weights)
    # Rectifiers of two hidden layers.
    flops = 2 * active + biases + 32
    dense = 2 * weights + biases + 32
    assert (costs["flops"], costs["dense_flops"]) == (flops, dense)
    # 1,294 examples make 25 steps of 50 in each of four epochs; every tenth
    # step is followed by an event.
    assert (training["steps"], training["events"]) == (100, 10)
    assert training["total"] == 50 * (
        100 * 3 * flops + 10 * (2 * flops + dense)
    )
    size = sum(f.stat().st_size for f in (run_dir / "export").rglob("*.*"))
    assert costs["export_bytes"] == size
    assert f"{active:,} MACs of {weights:,}" in output
    table = rows(run_dir / "evaluation.csv")
    macs = [row["value"] for row in table if row["name"] == "macs"]
    assert macs == [f"{active}.0"]
    table = rows(run_dir / "metrics.csv")
    values = [row["value"] for row in table if row["name"] == "flops"]
    assert values == [f"{flops}.0"] * 4


def test_metrics_are_long_and_hold_no_clock(finished):
    _, run_dir, _ = finished
    table = rows(run_dir / "metrics.csv")
    assert list(table[0]) == ["step", "epoch", "name", "value"]
    names = {row["name"] for row in table}
    assert {
        "accuracy",
        "density",
        "density/hidden_1",
        "dropped/hidden_1",
        "grown/logits",
        "learning_rate",
        "loss",
        "top_5_accuracy",
        "train_evaluation/accuracy",
        "validation/accuracy",
        "validation/loss",
    } <= names
    assert not any("second" in name or "time" in name for name in names)
    steps = 1294 // 50
    ends = {row["step"] for row in table if row["name"] == "loss"}
    assert ends == {str(steps * epoch) for epoch in (1, 2, 3, 4)}
    for row in table:
        if row["name"].startswith("dropped/"):
            grown = row["name"].replace("dropped", "grown")
            assert {**row, "name": grown} in table


def test_tensorboard_shows_numbers_histograms_and_changes(finished):
    _, run_dir, _ = finished
    events = EventAccumulator(str(run_dir / "tensorboard" / "train"))
    events.Reload()
    tags = events.Tags()
    assert "weights/hidden_1" in tags["tensors"]
    assert "gradients/hidden_1" in tags["tensors"]
    assert "changes/hidden_1" in tags["tensors"]
    assert len(events.Tensors("loss")) == 4
    whole = EventAccumulator(str(run_dir / "tensorboard"))
    whole.Reload()
    assert "_hparams_/session_start_info" in whole.PluginTagToContent("hparams")
    (command,) = whole.Tensors("command")
    (text,) = command.tensor_proto.string_val
    words = shlex.split(text.decode())
    assert words[:2] == ["python", "train.py"]
    assert {"--epochs=4", "--evaluate_train=True"} <= set(words)


def test_keeps_the_checkpoints_asked_for(finished):
    _, run_dir, output = finished
    names = {file.stem for file in (run_dir / "checkpoints").glob("*.npz")}
    numbered = {"epoch_00002", "epoch_00004"}
    assert names == {"initial", "best", "last", "previous"} | numbered
    assert "Numbered checkpoints: 2" in output


def test_the_same_command_finds_its_run_and_does_nothing(finished):
    folder, run_dir, _ = finished
    before = (run_dir / "metrics.csv").read_bytes()
    code, output, _ = run("train.py", *FLAGS, folder=folder)
    assert code == 0
    assert "Finished already" in output
    assert (run_dir / "metrics.csv").read_bytes() == before


def test_a_run_can_be_had_again_from_its_configuration(finished, tmp_path):
    _, run_dir, _ = finished
    again = ["--config", str(run_dir / "config.json")]
    code, _, errors = run("train.py", *again, folder=tmp_path)
    assert code == 0, errors
    copy = tmp_path / "runs" / run_dir.name
    for name in ("metrics.csv", "evaluation.csv"):
        assert (copy / name).read_bytes() == (run_dir / name).read_bytes()


def test_configuration_says_what_came_from_where(finished):
    _, run_dir, _ = finished
    written = json.loads((run_dir / "config.json").read_text())
    assert written["sources"]["epochs"] == "flag"
    assert written["sources"]["seed"] == "default"
    assert "drop_fraction=0.3" in written["config"]["reallocation"]


def test_more_epochs_continue_the_run(finished, tmp_path):
    _, run_dir, _ = finished
    copy = tmp_path / "longer"
    subprocess.run(["cp", "-r", run_dir, copy], check=True)
    flags = [*FLAGS, f"--run_dir={copy}", "--epochs=5"]
    code, output, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 0, errors
    assert "Resuming after epoch 4" in output
    epochs = [
        row["epoch"]
        for row in rows(copy / "metrics.csv")
        if row["name"] == "loss"
    ]
    assert epochs == ["1", "2", "3", "4", "5"]
    written = json.loads((copy / "config.json").read_text())
    assert written["earlier_epochs"] == [4]


def test_another_configuration_is_refused_with_the_differences(finished):
    folder, run_dir, _ = finished
    before = sorted(file.name for file in run_dir.rglob("*"))
    flags = [*FLAGS, f"--run_dir={run_dir}", "--sparsity=0.5", "--seed=3"]
    code, _, errors = run("train.py", *flags, folder=folder)
    assert code == 2
    assert "sparsity is 0.9 instead of 0.5; seed is" in errors
    assert len(errors.strip().splitlines()) == 1
    assert sorted(file.name for file in run_dir.rglob("*")) == before


def test_a_corrupt_checkpoint_is_noticed_and_the_one_before_used(
    finished, tmp_path
):
    _, run_dir, _ = finished
    copy = tmp_path / "corrupt"
    subprocess.run(["cp", "-r", run_dir, copy], check=True)
    (copy / "summary.json").unlink()
    last = copy / "checkpoints" / "last.npz"
    last.write_bytes(last.read_bytes()[:-1000])
    flags = [*FLAGS, f"--run_dir={copy}"]
    code, output, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 0, errors
    assert "not intact" in output and "Resuming after epoch 3" in output
    metrics = (copy / "metrics.csv").read_bytes()
    assert metrics == (run_dir / "metrics.csv").read_bytes()


def test_a_new_run_starts_from_the_weights_and_masks_of_another(
    finished, tmp_path
):
    _, run_dir, _ = finished
    flags = [
        "--model=mlp(units=(16, 16))",
        "--reallocation=static",
        "--epochs=1",
        "--learning_rate=1e-30",
        f"--initialize_from={run_dir}:best",
        "--run_dir=next",
    ]
    code, output, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 0, errors
    assert "weights and masks" in output
    with (
        np.load(run_dir / "checkpoints" / "best.npz") as source,
        np.load(tmp_path / "next" / "checkpoints" / "last.npz") as copy,
    ):
        keys = [key for key in source.files if key.startswith("model/")]
        assert any(key.endswith("/mask") for key in keys)
        for key in keys:
            np.testing.assert_array_equal(source[key], copy[key])


def test_a_checkpoint_without_masks_is_refused(finished, tmp_path):
    _, run_dir, _ = finished
    copy = tmp_path / "dense"
    subprocess.run(["cp", "-r", run_dir, copy], check=True)
    (copy / "summary.json").unlink()
    for file in (copy / "checkpoints").glob("*.npz"):
        with np.load(file) as opened:
            arrays = {
                key: opened[key]
                for key in opened.files
                if not key.endswith("/mask")
            }
        np.savez(file, **arrays)
    flags = [*FLAGS, f"--run_dir={copy}"]
    code, _, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 2
    assert "no masks" in errors


def test_export_loads_without_cb_and_gives_the_same_outputs(finished):
    _, run_dir, _ = finished
    code = """
import csv, sys, numpy as np, tensorflow as tf
assert not any("cb" == name.split(".")[0] for name in sys.modules)
try:
    import cb
except ImportError:
    pass
else:
    raise SystemExit("cb can be imported here")
model = tf.saved_model.load(sys.argv[1])
with np.load(sys.argv[2]) as file:
    arrays = {key: file[key] for key in file.files}
x = np.random.default_rng(0).random((7, 8, 8, 1), np.float32)
y = x.reshape(7, 64)
kernels = sorted(
    (int(key.split("/")[1]), key)
    for key in arrays
    if key.startswith("model/") and key.endswith("/kernel")
)
for number, (position, key) in enumerate(kernels):
    mask = arrays[f"model/{position}/mask"]
    y = y @ (arrays[key] * mask) + arrays[f"model/{position}/bias"]
    if number < len(kernels) - 1:
        y = np.maximum(y, 0)
np.testing.assert_allclose(model.serve(x).numpy(), y, atol=1e-6)
"""
    subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            str(run_dir / "export"),
            str(run_dir / "checkpoints" / "last.npz"),
        ],
        check=True,
        cwd=run_dir,
        env={"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


@pytest.mark.parametrize(
    "flags",
    [
        ["--checkpoint=last"],
        ["--checkpoint=last", "--strategy=mirrored(devices=2)"],
    ],
)
def test_evaluate_repeats_the_score_of_training(finished, flags):
    folder, run_dir, _ = finished
    summary = json.loads((run_dir / "summary.json").read_text())
    before = rows(run_dir / "evaluation.csv")
    where = f"--run_dir={run_dir.relative_to(folder)}"
    code, output, errors = run("evaluate.py", where, *flags, folder=folder)
    assert code == 0, errors
    assert len(output.strip().splitlines()) == 1
    assert "(360 examples)" in output
    added = rows(run_dir / "evaluation.csv")[len(before) :]
    scores = {row["name"]: float(row["value"]) for row in added}
    assert scores == pytest.approx(summary["test"], abs=1e-6)
    assert {row["checkpoint"] for row in added} == {"last"}


def test_evaluate_profiles_a_run(finished):
    folder, run_dir, _ = finished
    summary = json.loads((run_dir / "summary.json").read_text())
    code, output, errors = run(
        "evaluate.py", f"--run_dir={run_dir}", "--profile", folder=folder
    )
    assert code == 0, errors
    active = summary["active_weights"]
    block = rf" params: {active + 42}\n flops: {active}\n nanoseconds: [\d,]+\n"
    assert re.search(block, output)
    top1 = 100 * summary["test"]["accuracy"]
    assert f"Summary Epoch: 0/4;\tval.top1 : {top1:.3f}\t" in output
    assert "NOT COUNTED" not in output
    last = rows(run_dir / "evaluation.csv")[-1]
    assert (last["checkpoint"], last["split"]) == ("last", "costs")


def test_evaluate_scores_a_saved_model_without_its_run(finished):
    folder, run_dir, _ = finished
    summary = json.loads((run_dir / "summary.json").read_text())
    code, output, errors = run(
        "evaluate.py",
        f"--saved_model={run_dir / 'export'}",
        "--dataset=digits",
        folder=folder,
    )
    assert code == 0, errors
    assert f"accuracy {summary['test']['accuracy']:.4f}" in output


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_trains_in_mixed_precision(tmp_path, dtype):
    flags = [
        "--model=small_cnn(filters=(4, 4), units=8)",
        "--reallocation=rigl(every=5)",
        "--epochs=2",
        f"--dtype={dtype}",
        "--run_dir=run",
    ]
    code, _, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 0, errors
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    masked = summary["masked_weights"]
    assert summary["active_weights"] == round(0.1 * masked)
    assert np.isfinite(summary["test"]["loss"])


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path):
    flags = ["--learning_rate=1e9", "--optimizer=sgd", "--run_dir=run"]
    code, _, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 1
    assert "no longer finite at step" in errors
    assert len(errors.strip().splitlines()) == 1
