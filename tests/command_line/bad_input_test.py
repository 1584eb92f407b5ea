"""What `train.py` and `evaluate.py` say to bad input, and to `--help`."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.config import METADATA
from cb.config.metadata import GROUPS
from tests.commands import ROOT
from tests.commands import run
from tests.commands import run_new
from tests.workers import alone

WHOLE = (
    "Expected a whole JPEG, PNG, GIF, BMP, WebP or TIFF file. "
    "Received: {} bytes"
)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--model=lenet_300_10"], "Did you mean 'lenet_300_100'"),
        (["--reallocation=rigl(every=0)"], "every=0"),
        (["--optimizer=muon"], "Muon"),
        (["--strategy=mirrored(devices=2)", "--batch_size=51"], "divisible"),
        (["--sparsity=0.9999999"], "would empty layer 'hidden_"),
        (["--initialize_from=nowhere"], "'nowhere'"),
        (["--dataset=mnist", "--data_dir=/proc/none"], "tfds build mnist"),
        (["--run_dir=/proc/none"], "must be a folder that can be written"),
        (["--kernels=csr(min_size=2000)"], "logits: only 1,000 weights"),
        (["--datset=mnist"], "dataset"),
        (["--lr=0.1"], "Unknown flag `--lr`. Did you mean 'learning_rate'?"),
        (["--set=lr=0.1"], "Did you mean 'learning_rate'?"),
        (["--flagfile=nowhere"], "nowhere"),
        (["--show_input=maybe"], "must be True or False"),
        (["word"], "'word'"),
        (["--sparsity=1.5"], r"[0, 1)"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, flags, message):
    code, _, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "either `--run_dir` or `--saved_model`"),
        (["--run_dir=nowhere"], "'nowhere'"),
        (["--saved_model=nowhere"], "--dataset"),
        (["--saved_model=x", "--attempt=1"], "needs `--run_dir`"),
        (["--saved_model=x", "--checkpoint=best"], "needs `--run_dir`"),
        (["--run_dir=r", "--batch_size=9"], "needs `--saved_model`"),
        (["--run_dir=r", "--augmentation=none"], "needs `--saved_model`"),
        (["--saved_model=nowhere", "--dataset=digits"], "'nowhere'"),
        (
            [
                "--saved_model=nowhere",
                "--dataset=digits",
                "--all_conflict_layers",
            ],
            "`--saved_model` or `--all_conflict_layers`, not both",
        ),
        (["--run_dir=r", "--saved_model=x", "--dataset=digits"], "not both"),
        (["--lesion=lesion"], "`lesion` needs `--run_dir`. Received: lesion="),
        (["--run_dir=r", "--attempt=-1"], "--attempt=-1"),
        (
            ["--run_dir=r", "--profile", "--conflicting_samples_size=9"],
            "conflicting_samples_size=9, profile=True",
        ),
        (["--run_dir=r", "--export=dense", "--published_columns"], "needs"),
    ],
)
def test_bad_input_of_evaluate_is_one_line(tmp_path, flags, message):
    code, _, errors = run("evaluate.py", *flags, folder=tmp_path)
    assert code == 2
    assert message in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "script, flags, message",
    [
        ("train.py", ["--kernels=csr(min_size=2000)"], "only 1,000 weights"),
        ("evaluate.py", ["--run_dir=nowhere"], "'nowhere'"),
    ],
)
def test_importing_tensorflow_adds_no_line(tmp_path, script, flags, message):
    code, _, errors = run_new(script, *flags, folder=tmp_path)
    assert code == 2
    assert message in errors
    assert len(errors.strip().splitlines()) == 1


def test_an_image_that_cannot_be_decoded_is_named(tmp_path):
    image = tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)).numpy()
    for name in ("cats", "dogs"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(20):
            file = tmp_path / "images" / name / f"{number}.png"
            file.write_bytes(image)
    file.write_bytes(image[:-20])
    flags = [
        "--dataset=folder('images')",
        "--augmentation=resize(8)|center_crop(8)",
    ]
    with alone([*flags, "--batch_size=2", "--run_dir=run"], tmp_path) as worker:
        code, printed = worker.finish()
    assert code == 2, printed
    assert "Traceback" not in printed
    expected = (
        f"Image 'dogs/19.png' of folder 'images' cannot be decoded. {WHOLE}"
    )
    # At once, not when training or testing comes to it.
    assert not (tmp_path / "run").exists()
    assert printed.splitlines()[-1] == expected.format(len(image) - 20)


def without_tensorflow(folder):
    """Let a command in this folder stop where it imports one of these."""
    for name in ("tensorflow", "keras", "tensorflow_datasets", "sklearn"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported')")
    return {"folder": folder, "first": folder}


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "tune.py"])
@pytest.mark.parametrize("flag", ["--help", "--helpfull"])
def test_help_needs_no_tensorflow(tmp_path, script, flag):
    code, output, _ = run_new(script, flag, **without_tensorflow(tmp_path))
    assert code == 0
    assert "--strategy" in output


def test_help_describes_a_dozen_flags_and_lists_the_others(tmp_path):
    _, short, _ = run_new("train.py", "--help", folder=tmp_path)
    most_used, *groups = short.split("\n\n")[2:-1]
    assert most_used.count("\n  --") == 12
    titles = ["Most used", *GROUPS]
    found = [text.partition(":")[0] for text in (most_used, *groups)]
    assert found == titles
    _, full, _ = run_new("train.py", "--helpfull", folder=tmp_path)
    for name in (*METADATA, "config", "set", "schedule_file"):
        assert f"--{name}" in short
        assert f"\n  --{name}" in full
    assert [f"\n{title}:\n" in full for title in GROUPS] == [True] * 7


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "tune.py"])
def test_every_command_says_its_version(tmp_path, script):
    done = run_new(script, "--version", **without_tensorflow(tmp_path))
    assert done == (0, f"cb {cb.__version__}\n", "")


@pytest.mark.parametrize("module", ["cb.plots", "cb.launch"])
def test_every_module_that_runs_says_its_version(module):
    command = [sys.executable, "-m", module, "--version"]
    printed = subprocess.check_output(command, cwd=ROOT, text=True)
    assert printed == f"cb {cb.__version__}\n"


@pytest.mark.parametrize(
    "flag, message",
    [
        ("distribution=ERK", "Did you mean 'erk'?"),
        ("reallocation=SET", "Did you mean 'set'?"),
        ("reallocation=rigl(reset_momentum='no')", "must be True or False"),
        ("granularity=block(rows='x')", "rows='x'"),
        ("auto_tune=auto_tune(checks=True)", "checks=True"),
        ("augmentation=pad_crop(padding='x')", "padding='x'"),
        ("learning_rate_schedule=Cosine", "Did you mean 'cosine'?"),
        ("dataset=digits(x=1)", "Unknown keyword in data set `digits`"),
        ("dtype=float", "Did you mean 'float32'?"),
    ],
)
@pytest.mark.parametrize("way", ["--", "--set=", "--config="])
def test_parts_are_checked_without_tensorflow(tmp_path, flag, message, way):
    if way == "--config=":
        name, _, value = flag.partition("=")
        (tmp_path / "run.yaml").write_text(f'{name}: "{value}"')
        flag = "run.yaml"
    for script in ["train.py", "tune.py"][: 1 if way == "--set=" else 2]:
        code, _, errors = run_new(
            script, f"{way}{flag}", **without_tensorflow(tmp_path)
        )
        assert code == 2
        assert message in errors
        assert len(errors.strip().splitlines()) == 1


def test_a_flagfile_may_quote_its_values(tmp_path):
    file = tmp_path / "flags.txt"
    file.write_text('# A comment.\n--model="mlp(units=(4, 4)"\n')
    flags = [f"--flagfile={file}"]
    code, _, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 2
    assert "Received: 'mlp(units=(4, 4)'" in errors
