"""Flags, the configuration and the requirements say the same."""

import tomllib

from absl import flags

from cb.config import Config
from flags import data  # noqa: F401
from flags import model  # noqa: F401
from flags import optimization  # noqa: F401
from flags import run  # noqa: F401
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
