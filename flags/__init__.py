"""The command line: one file per concern, read once, at the edge."""

from typing import Any

from absl import flags

from cb.config import Config
from cb.config import layered


def experiment() -> tuple[Config, dict[str, str]]:
    """Turn the parsed flags into a configuration.

    Returns:
        Tuple of a frozen `cb.config.Config` and a dict that says where each
        of its values came from.

    Raises:
        InputError: If a value is wrong.
    """
    return layered(*layers())


def layers() -> tuple[str | None, dict[str, Any], list[str], str | None]:
    """Return the layers of a configuration that the flags give.

    Returns:
        Tuple of a file or `None`, a dict of flag to value, a list of
        settings and a schedule file or `None`, as of `cb.config.layered`.
    """
    values = flags.FLAGS
    given = {
        name: values[name].value
        for name in Config.__dataclass_fields__
        if values[name].present
    }
    return values.config, given, values.set or [], values.schedule_file
