"""Flags, the configuration and the requirements say the same."""

import json
import tomllib

import pytest
from absl import flags
from absl.testing import flagsaver

from cb.config import Config
from cb.errors import InputError
from flags.training import experiment
from tests.commands import ROOT


def test_every_field_of_the_configuration_is_a_flag_with_its_default():
    for name in Config.__dataclass_fields__:
        assert flags.FLAGS[name].default == getattr(Config, name), name


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


def test_requirements_and_the_package_have_the_same_bounds():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
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
