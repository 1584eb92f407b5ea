"""The command line: one file per concern, read once, at the edge."""

from typing import Any

from absl import flags

from cb.config import Config
from cb.config import layered
from cb.errors import InputError
from cb.registry import parse_spec

WORKERS = ("worker_hosts", "worker_index")


def experiment() -> tuple[Config, dict[str, str]]:
    """Turn the parsed flags into a configuration.

    Returns:
        Tuple of a frozen `cb.config.Config` and a dict that says where each
        of its values came from.

    Raises:
        InputError: If a value is wrong, or workers are named that the
            strategy does not use: each would train alone.
    """
    config, sources = layered(*layers())
    if parse_spec(config.strategy).name != "multi_worker":
        # The workers in a run's own file go where `--strategy` says so.
        ignored = sources["strategy"] == "default"
        for name in WORKERS:
            value = getattr(config, name)
            asked = ignored or sources[name] in ("flag", "set")
            if value is not None and asked:
                raise InputError(
                    f"Argument `{name}` needs `--strategy=multi_worker`. "
                    f"Received: {name}={value!r}, strategy={config.strategy!r}"
                )
    return config, sources


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
