"""The command that trains a configuration."""

import dataclasses
import shlex

from cb.config import Config
from cb.text import program


def command_line(config: Config, usual: Config | None = None) -> str:
    """Return the command that trains a configuration.

    Args:
        config: `Config`.
        usual: `Config` without any flag, by default not completed.

    Returns:
        String for a shell: every flag that is not at its default, except
        those that only name the folder of the run.
    """
    usual = usual or Config()
    words = program("train").split()
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        if field.name in ("run_dir", "name") or value == getattr(
            usual, field.name
        ):
            continue
        if isinstance(value, list):
            value = ",".join(value)
        words.append(f"--{field.name}={value}")
    return shlex.join(words)
