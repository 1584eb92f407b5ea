"""Flags, the configuration and the requirements say the same."""

import json
import os
import shutil
import subprocess
import sys
import tomllib

import pytest
from absl import flags
from absl.testing import flagsaver

from cb.config import HELP
from cb.config import METADATA
from cb.config import SPECS
from cb.config import Config
from cb.config.metadata import GROUPS
from cb.errors import InputError
from flags.training import experiment
from tests.commands import ROOT


def test_every_field_of_the_configuration_is_a_flag_with_its_default():
    for name in Config.__dataclass_fields__:
        assert flags.FLAGS[name].default == getattr(Config, name), name


def test_every_field_of_the_configuration_has_its_help():
    assert list(HELP) == list(METADATA)
    for name, text in HELP.items():
        assert flags.FLAGS[name].help.startswith(text), name
        assert text.endswith("."), name
        assert f"\n    {name}: {text[:9]}" in Config.__doc__, name


def test_every_flag_is_a_field_or_names_a_configuration():
    ours = {
        flag.name
        for module, found in flags.FLAGS.flags_by_module_dict().items()
        if module.startswith("flags.")
        for flag in found
    }
    assert ours == {
        *Config.__dataclass_fields__,
        "config",
        "schedule_file",
        "set",
    }


@pytest.mark.slow
def test_every_part_of_the_configuration_is_completed_by_something():
    for name, metadata in METADATA.items():
        assert metadata.group in GROUPS
        assert name not in SPECS or metadata.parts
        if metadata.parts is not None:
            default = getattr(Config, name)
            assert metadata.complete(default).startswith(default.split("(")[0])


DESCRIBED = """
    Args:
        shininess: Shine of the weights, one of
            {cb.sparsity.granularity}.
        finish: The finish.
"""
ADDED = """
    shininess: Annotated[float, Interval("[0, 3)")] | None = flag(None, DEVICES)
    finish: str = part(
        "weight",
        MODEL,
        "cb.sparsity.granularity:REGISTRY.complete",
        light=True,
        identity=False,
    )
"""
READ = """
import json, sys
from absl import flags
from cb.config import default_run_dir
from cb.runs.directory import RunDirectory
from flags.training import experiment
flags.FLAGS(["train.py", *sys.argv[1:]])
config, sources = experiment()
RunDirectory("run").write_config(config, sources)
assert "tensorflow" not in sys.modules
print(default_run_dir(config))
"""


@pytest.fixture(scope="module")
def with_a_field(tmp_path_factory):
    """A copy of the package, where the configuration has two fields more."""
    folder = tmp_path_factory.mktemp("tree")
    for package in ("cb", "flags"):
        shutil.copytree(
            ROOT / package,
            folder / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(ROOT / "train.py", folder)
    file = folder / "cb/config/fields.py"
    text = file.read_text()
    assert text.count("\n    Args:\n") == 1
    file.write_text(
        "from typing import Annotated\nfrom cb.registry import Interval\n"
        + text.replace("\n    Args:\n", DESCRIBED)
        + ADDED
    )
    return folder


def python(folder, *arguments):
    """Run Python in a folder; return code and output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": "."},
    )
    return done.returncode, done.stdout


@pytest.mark.slow
def test_a_field_that_is_added_is_a_flag(with_a_field):
    code, text = python(with_a_field, "train.py", "--help")
    assert code == 0
    assert "--shininess" in text.split("\nDevices:")[1].split("\nRun:")[0]
    code, text = python(with_a_field, "train.py", "--helpfull")
    assert code == 0
    shown = text.split("--shininess\n")[1].split("\n\n")[0]
    assert " ".join(shown.split()) == (
        "Shine of the weights, one of block, filter, n_by_m, row, slice, "
        "weight. Must be a number in [0, 3)."
    )
    code, text = python(with_a_field, "train.py", "--shininess=3")
    assert (code, text) == (
        2,
        "Argument `shininess` must be a number in [0, 3) or None. "
        "Received: shininess=3\n",
    )
    for given in ("--finish=Wieght", "--set=finish=Wieght"):
        code, text = python(with_a_field, "train.py", given)
        assert code == 2
        assert "Did you mean 'weight'" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "given", ["--shininess=2", "--set=shininess=2", "--config=run.yaml"]
)
def test_a_field_that_is_added_is_set_and_kept(with_a_field, given):
    (with_a_field / "run.yaml").write_text("shininess: 2\n")
    code, text = python(with_a_field, "-c", READ, given, "--finish=row")
    assert code == 0, text
    kept = json.loads((with_a_field / "run/config.json").read_text())
    assert kept["config"]["shininess"] == 2.0
    assert kept["config"]["finish"] == "row"
    # What is not part of a run's identity leaves its name alone.
    assert python(with_a_field, "-c", READ, given)[1] == text
    assert python(with_a_field, "-c", READ)[1] != text


def test_requirements_and_the_package_have_the_same_bounds():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    # Neither is needed here: another build of TensorFlow, other models.
    del extras["gpu"], extras["models"]
    # The site is built in a checkout.
    names = ",".join(sorted(extras.keys() - {"all", "docs"}))
    assert extras.pop("all") == [f"{project['name']}[{names}]"]
    for requirement in sum(extras.values(), project["dependencies"]):
        assert requirement in lines


def read(*arguments):
    """Return the configuration that a command line gives."""
    with flagsaver.flagsaver():
        flags.FLAGS(["train.py", *arguments])
        return experiment()[0]


@pytest.mark.parametrize(
    "name, value", [("worker_hosts", "a:1,b:1"), ("worker_index", 1)]
)
def test_workers_that_no_strategy_uses_are_refused(name, value, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps({name: value}))
    for given in (f"--{name}={value}", f"--set={name}={value}"):
        with pytest.raises(InputError, match=f"`{name}` needs `--strategy"):
            read(given)
    with pytest.raises(InputError, match=f"`{name}` needs `--strategy"):
        read(f"--config={file}")
    assert getattr(read(f"--{name}={value}", "--strategy=multi_worker"), name)


def test_a_run_of_several_machines_is_repeated_on_one(tmp_path):
    config = Config(
        strategy="multi_worker", worker_hosts=["a:1", "b:1"], worker_index=1
    )
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"config": config.as_dict()}))
    assert read(f"--config={file}", "--strategy=none").strategy == "none"
