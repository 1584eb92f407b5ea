"""Trackers in their offline modes, read as others would read them."""

import contextlib
import csv
import functools
import json
import sqlite3
import struct

import pytest

from cb.errors import InputError
from cb.run_log import check_names
from tests import forks
from tests.commands import run

pytestmark = pytest.mark.slow

FLAGS = (
    "--model=mlp(units=(8,))",
    "--reallocation=set(every=10, end=1.0)",
    "--limit_examples=300",
    "--run_dir=run",
    "--log_to=trackio,mlflow(project='mine'),wandb,tensorboard",
)
EPOCH = 2
BLOCK = 32768


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train for one epoch, then to the second in another process."""
    folder = tmp_path_factory.mktemp("trackers")
    variables = {
        "WANDB_MODE": "offline",
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "TRACKIO_DIR": str(folder / "trackio"),
        "HF_HUB_OFFLINE": "1",
    }
    prepare = [
        functools.partial(forks.set_variable, *it) for it in variables.items()
    ]
    for epochs in range(1, EPOCH + 1):
        flags = (*FLAGS, f"--epochs={epochs}")
        code, _, errors = run(
            "train.py", *flags, folder=folder, prepare=prepare
        )
        assert code == 0, errors
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """The rows of metrics.csv: dict of name and step to value."""
    with open(folder / "run" / "metrics.csv", newline="") as file:
        return {
            (row["name"], int(row["step"])): float(row["value"])
            for row in csv.DictReader(file)
        }


def assert_holds(found, expected):
    """Check that all rows of metrics.csv are there, and the test scores."""
    assert {name for name, _ in expected} >= {"loss", "validation/accuracy"}
    for key, value in expected.items():
        assert found[key] == pytest.approx(value), key
    assert {name for name, _ in found} - {name for name, _ in expected} == {
        "test/accuracy",
        "test/loss",
        "test/top_5_accuracy",
    }


def query(file, text):
    with contextlib.closing(sqlite3.connect(file)) as database:
        return database.execute(text).fetchall()


def test_mlflow_has_one_run_with_all_numbers(folder, expected):
    file = folder / "mlflow.db"
    (run,) = query(file, "select run_uuid, name, status from runs")
    assert run[1:] == ("run", "FINISHED")
    rows = query(file, "select key, step, value from metrics")
    assert_holds({row[:2]: row[2] for row in rows}, expected)
    assert query(file, "select name from experiments where name = 'mine'")
    parameters = dict(query(file, "select key, value from params"))
    assert parameters["sparsity"] == "0.9" and parameters["epochs"] == "1"
    tags = dict(query(file, "select key, value from tags"))
    # What may not change is kept beside.
    assert tags["epochs"] == "2"
    assert tags["command"].startswith("python train.py")
    assert "--limit_examples=300" in tags["command"]


def records(file):
    """Yield the records of a file of Weights & Biases, a log of LevelDB."""
    # It takes two seconds to import, which only one worker needs.
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, record = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield Record.FromString(record)
            record = b""


def test_wandb_has_one_run_with_all_numbers(folder, expected):
    files = sorted(folder.glob("run/wandb/offline-run-*/*.wandb"))
    assert len(files) == EPOCH
    ids, found, config, images = set(), {}, {}, 0
    for record in (record for file in files for record in records(file)):
        if record.HasField("run"):
            ids.add((record.run.run_id, record.run.display_name))
        for item in record.config.update:
            config[item.key] = json.loads(item.value_json)
        row = {
            item.key or ".".join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        for name, value in row.items():
            if isinstance(value, int | float):
                found[name, row.get("step")] = value
            images += value == "image-file"
    assert len(ids) == 1 and ids.pop()[1] == "run"
    ours = {
        key: value
        for key, value in found.items()
        if key[0] != "step" and key[0][0] != "_" and "." not in key[0]
    }
    assert_holds(ours, expected)
    assert config["sparsity"] == 0.9 and config["epochs"] == 2
    assert images


def test_trackio_has_one_run_with_all_numbers(folder, expected):
    (file,) = (folder / "trackio").glob("cb*.db")
    rows = query(file, "select run_name, step, metrics from metrics")
    (name,) = {row[0] for row in rows}
    assert name.startswith("run_")
    found = {
        (key, step): value
        for _, step, metrics in rows
        for key, value in json.loads(metrics).items()
        if isinstance(value, int | float)
    }
    assert_holds(found, expected)
    (config,) = query(file, "select config from configs")
    assert json.loads(config[0])["epochs"] == 2


def test_the_others_are_written_beside_them(folder):
    assert any((folder / "run" / "tensorboard").rglob("events*"))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("wandbb", "Did you mean 'wandb'"),
        ("tensorboard,", "log_to.* commas between"),
        ("mlflow,mlflow(project='a')", "different sinks"),
        ("", "or 'none'"),
    ],
)
def test_wrong_sinks_are_refused(text, expected):
    with pytest.raises(InputError, match=expected):
        check_names(text)


def test_commas_inside_of_parentheses_do_not_split():
    check_names("tensorboard,mlflow(project='a, b'),wandb")
    check_names("none")


def test_a_missing_package_is_named(tmp_path):
    hidden = [functools.partial(hide, "wandb")]
    flags = ("--log_to=wandb", "--run_dir=run")
    code, _, errors = run("train.py", *flags, folder=tmp_path, prepare=hidden)
    assert code == 2 and errors.count("\n") == 1
    assert "`pip install wandb`" in errors
    assert not (tmp_path / "run").exists()


def hide(module):
    """Let a module be one that cannot be imported."""
    import sys

    sys.modules[module] = None
