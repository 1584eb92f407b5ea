"""The command that trains a configuration."""

import dataclasses
import shlex

from cb.config import Config
from cb.text import program


def command_line(config: Config, usual: Config | None = None) -> str:
    """Return the command that trains a configuration.

    Args:
        config: `Config`, with what a regime sets.
        usual: `Config` without any flag, by default not completed.

    Returns:
        String for a shell: every flag that is not at its default, except
        those that only name the folder of the run.
    """
    usual = usual or Config()
    regime = config.regime != "none"
    words = program("train").split()
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        if field.name in ("run_dir", "name"):
            continue
        same = value == getattr(usual, field.name)
        if field.name == "learning_rate_schedule" and regime:
            # Any other than this takes the rates of the regime away.
            same = value == "constant"
        if same:
            continue
        if isinstance(value, list):
            value = ",".join(value)
        words.append(f"--{field.name}={value}")
    return shlex.join(words)
