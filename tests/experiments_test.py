"""Every published experiment can be run as its file says."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import flags

from cb import datasets
from cb.config import Config
from cb.config import layered
from cb.datasets import electricity
from cb.datasets import electricity_builder
from cb.datasets import tables
from cb.datasets import tfds_loading
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.errors import InputError
from cb.errors import RunError
from cb.training import assembly
from cb.training.data import build_chain
from experiments import catalogue
from experiments import pages
from experiments import run
from flags import training as _training  # noqa: F401
from tests.commands import ROOT
from tests.commands import run as run_command

ALL = {found.name: found for found in catalogue.experiments()}
# One of each source, and what makes it small.
SMALL = {
    "dynamic_sparse/mnist_08_dynamic_s98": [],
    "big_batch/f1_gbn": ["--normalization=ghost(size=4)"],
    "wirings/graph_static_discovered": [],
    "autosparse/mnist_rigl": ["--set=reallocation.every=2"],
    "bundles/fnn_10_50": ["--validation_examples=4"],
    "sparse_learning/snfs_s90": ["--validation_examples=4"],
    "rigl/lenet_300_100_structure": ["--set=reallocation.every=2"],
    "lottery_ticket/random_09": [],
    "set_keras/cifar10_set": [],
}


def config_of(found):
    """Parse the file of an experiment as `train.py` does."""
    values = {}
    for line in (ROOT / found.path).read_text().splitlines():
        if not line.startswith("#"):
            name, _, text = line.removeprefix("--").partition("=")
            values[name] = flags.FLAGS[name].parser.parse(text)
    schedule = values.pop("schedule_file", None)
    schedule = schedule and str(ROOT / schedule)
    assert set(values) <= set(Config.__dataclass_fields__)
    return layered(None, values, [], schedule)[0]


@pytest.fixture
def tiny(monkeypatch):
    """Put two examples in the place of everything that is downloaded."""

    def load(name, data_dir, *splits, preparations=None, **details):
        shape = (28, 28, 1) if "mnist" in name else (32, 32, 3)
        shape = (28,) if name == "higgs" else shape
        kind = np.uint8 if len(shape) == 3 else np.float32
        two = Examples(
            np.zeros((2, *shape), kind), np.arange(2, dtype=np.int32)
        )
        return DatasetSplits(name, two, two, 10, preparations=preparations)

    monkeypatch.setattr(tfds_loading, "load", load)
    table = tables.of_arrays(
        "electricity",
        electricity_builder.LABEL,
        np.arange(20) % 2,
        dict.fromkeys(electricity.COLUMNS, np.zeros(20)),
    )
    monkeypatch.setattr(electricity, "_downloaded", lambda *_: table)


def test_files_and_catalogue_are_what_the_tables_say():
    for found in ALL.values():
        assert (ROOT / found.path).read_text() == found.text(), found.name
    page = pages.experiments_page()
    assert (ROOT / "docs/experiments.md").read_text() == page
    page = pages.tables_page()
    assert (ROOT / "docs/published_tables.md").read_text() == page
    readme = (ROOT / "README.md").read_text()
    assert readme == pages.readme(readme)
    files = {
        str(file.relative_to(ROOT))
        for source in catalogue.SOURCES
        for file in (ROOT / "experiments" / source).glob("*.flags")
    }
    assert files == {found.path for found in ALL.values()}


def test_all_jobs_of_the_sources_are_there():
    names = [name.partition("/")[2] for name in ALL]

    def numbers(data):
        return sorted(
            int(name.split("_")[1])
            for name in names
            if name.startswith(f"{data}_") and name.split("_")[1].isdecimal()
        )

    assert numbers("cifar10") == list(range(83))
    assert numbers("imagenet") == list(range(21))
    assert numbers("mnist") == list(range(25))
    kept = [n for n in names if n.startswith(("allsparse", "ignorefirst"))]
    assert len(kept) == 18
    assert len([n for n in names if n.startswith("script_")]) == 10


def test_headers_say_what_a_reader_needs():
    for found in ALL.values():
        head = catalogue.header(found.text())
        assert head["Status"] in catalogue.STATUSES
        for key in ("Paper", "Table", "Command", "Expected", "Time"):
            assert head[key], found.name


@pytest.mark.parametrize("source", catalogue.SOURCES)
def test_every_file_is_a_complete_configuration(source, tiny):
    for found in ALL.values():
        if found.name.startswith(f"{source}/"):
            config = assembly.completed(config_of(found))
            loaded = datasets.load(config.dataset)
            chain = build_chain(config.augmentation, loaded, config.model)
            assert chain.output_shape(loaded.features_shape), found.name


def write_images(folder, name, version, shape):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, *shape), np.uint8)
    examples = [
        (n, {"id": f"{n}", "image": image, "label": n % 10})
        for n, image in enumerate(images)
    ]
    tfds.dataset_builders.store_as_tfds_dataset(
        name,
        version,
        tfds.features.FeaturesDict(
            {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=shape),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        ),
        {"train": examples, "test": examples},
        data_dir=folder,
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Write a few images of two data sets."""
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, "mnist", "3.0.1", (28, 28, 1))
    write_images(folder, "cifar10", "3.0.2", (32, 32, 3))
    return folder


@pytest.mark.parametrize("name", SMALL)
def test_one_of_each_source_trains(name, images, tmp_path):
    code, _, errors = run_command(
        "train.py",
        f"--flagfile={ROOT / ALL[name].path}",
        f"--data_dir={images}",
        f"--run_dir={tmp_path / 'run'}",
        "--limit_examples=24",
        "--batch_size=8",
        "--epochs=1",
        *SMALL[name],
        folder=ROOT,
    )
    assert code == 0, errors
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert 0 <= summary["test"]["accuracy"] <= 1


def test_another_set_of_flags_is_another_folder():
    name = "bundles/fnn_10_50"
    assert run.folder(name, ["--data_dir=x"]) == f"runs/{name}"
    other = run.folder(name, ["--seed=1", "--epochs=2"])
    assert other == run.folder(name, ["--epochs=2", "--seed=1"])
    assert other.startswith(f"runs/{name}_")
    assert run.folder(name, ["--run_dir=mine"]) == "mine"


def test_flags_are_joined_to_their_values():
    words = ["--epochs", "1", "-seed=2", "--evaluate_test", "--run_dir", "a"]
    found = run.joined(words)
    assert found == ["--epochs=1", "--seed=2", "--evaluate_test", "--run_dir=a"]
    assert run.folder("bundles/fnn_10_50", found) == "a"


def test_an_experiment_that_is_not_there():
    with pytest.raises(InputError, match="Did you mean 'bundles/fnn_10_50'"):
        run.main(["bundles/fnn_10_5"])
    with pytest.raises(InputError, match="docs/experiments.md. Received: ''"):
        run.main([])


def test_help_says_what_the_command_takes(capsys):
    run.main(["--help"])
    assert "python -m experiments.run SOURCE/RUN" in capsys.readouterr().out


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Keep runs in a folder, and let what would train only end."""
    called = []

    def call(script, *flags, run_dir):
        called.append((script, flags))
        folder = tmp_path / run_dir
        folder.mkdir(parents=True, exist_ok=True)
        summary = {"test": {"accuracy": 0.5}}
        (folder / "summary.json").write_text(json.dumps(summary))

    monkeypatch.setattr(run, "ROOT", tmp_path)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.setattr(run, "_call", call)
    return called


def test_an_experiment_needs_the_run_that_it_begins_with(runs):
    first, second = "lottery_ticket/level_00", "lottery_ticket/level_01"
    flags = ["--seed=1", "--epochs", "1"]
    with pytest.raises(InputError, match=f"the run of '{first}', which must"):
        run.main([second, *flags])
    run.main([first, *flags])
    del runs[:]
    run.main([second, *flags])
    (_, given), _ = runs
    before = run.folder(first, ["--seed=1", "--epochs=1"])
    assert f"--initialize_from={before}:last" in given


def test_numbers_of_another_training_are_marked(runs, capsys):
    name = "bundles/fnn_10_50"
    run.main([name, "--data_dir=a"])
    assert "ours       test accuracy 50.00 %\n" in capsys.readouterr().out
    run.main([name, "--epochs=1"])
    printed = capsys.readouterr().out
    assert "ours       test accuracy 50.00 %, with --epochs=1\n" in printed
    assert f"--run_dir={run.folder(name, ['--epochs=1'])}" in printed


@pytest.mark.slow
def test_a_training_that_is_killed_is_said(tmp_path):
    script = tmp_path / "training.py"
    script.write_text("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(RunError, match="training.py was ended by SIGKILL"):
        run._call(str(script), run_dir="a")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_training(tmp_path, number):
    script = tmp_path / "training.py"
    script.write_text(
        "import pathlib, signal, sys, time\n"
        f"signal.signal({number.value}, lambda *_: sys.exit(75))\n"
        "pathlib.Path(sys.argv[1][10:]).touch()\n"
        "time.sleep(60)\n"
    )
    code = (
        "import sys; from experiments import run; "
        "run._call(sys.argv[1], run_dir=sys.argv[2])"
    )
    command = [sys.executable, "-c", code, script, tmp_path / "begun"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(60) == 75
