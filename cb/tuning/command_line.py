"""The command that repeats one run of a sweep."""

import dataclasses
import shlex

from cb.config import Config
from cb.text import program


def command_line(config: Config) -> str:
    """Return the command that trains a configuration.

    Args:
        config: `Config`.

    Returns:
        String for a shell: every flag that is not at its default, except
        those that only name the folder of the run.
    """
    words = program("train").split()
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        if field.name in ("run_dir", "name") or value == field.default:
            continue
        if isinstance(value, list):
            value = ",".join(value)
        words.append(f"--{field.name}={value}")
    return shlex.join(words)
