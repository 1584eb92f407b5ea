"""Flags of a training: one for each field of `cb.config.Config`."""

import functools
from typing import Any

from absl import flags

from cb.config import ANNOTATIONS
from cb.config import HELP
from cb.config import METADATA
from cb.config import Config
from cb.config import check_file
from cb.config import check_settings
from cb.config import check_values
from cb.config import checked
from cb.config import layered
from cb.config.metadata import GROUPS as TITLES
from cb.config.metadata import RUN
from cb.errors import InputError
from cb.files.quiet import quiet_stderr
from cb.registry import parse_spec
from cb.runs import source
from cb.runs.directory import RunDirectory

from .typed import define

WORKERS = ("worker_hosts", "worker_index")


for _name in METADATA:
    define(
        _name,
        getattr(Config, _name),
        HELP.get(_name, ""),
        ANNOTATIONS[_name],
        functools.partial(checked, _name),
    )
flags.DEFINE_string(
    "config",
    None,
    "YAML or JSON file of flags, or the config.json of a run. Explicit flags "
    "override it.",
)
flags.DEFINE_multi_string(
    "set",
    None,
    "Set one value, also inside of a spec: --set=reallocation.every=50. "
    "Repeatable.",
)
flags.DEFINE_string(
    "schedule_file",
    None,
    "YAML file of dynamic sparse reparameterization: learning rate, period "
    "and temperature by first epoch. Explicit flags override it.",
)

# For `--help`.
GROUPS = {
    title: [name for name in METADATA if METADATA[name].group == title]
    for title in TITLES
}
GROUPS[RUN] += ["config", "set", "schedule_file"]
COMMON = [name for name in METADATA if METADATA[name].common]


def experiment() -> tuple[Config, dict[str, str]]:
    """Turn the parsed flags into a configuration.

    Returns:
        Tuple of a frozen `cb.config.Config` and a dict of field to the source
        of its value.

    Raises:
        InputError: If a value is wrong, or workers are named that the
            strategy does not use: each would train alone.
    """
    with quiet_stderr():
        config, sources = layered(*layers())
    if parse_spec(config.strategy).name != "multi_worker":
        # Of several machines, the chief alone needs the other run.
        if config.initialize_from and not _is_there(config.run_dir):
            source.require(config.initialize_from)
        # The workers in a run's own file apply only with its own strategy.
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


def _is_there(run_dir: str | None) -> bool:
    """Return whether there is a run, which may have begun with another."""
    return bool(run_dir and RunDirectory(run_dir).config_file.exists())


def layers() -> tuple[str | None, dict[str, Any], list[str], str | None]:
    """Return the layers of a configuration that the flags give.

    Returns:
        Tuple of a file or `None`, a dict of flag to value, a list of settings
        and a schedule file or `None`, as in `cb.config.layered`.

    Raises:
        InputError: If a part in the file or in a flag is wrong, as far as
            that is known without TensorFlow.
    """
    values = flags.FLAGS
    given = {
        name: values[name].value for name in METADATA if values[name].present
    }
    with quiet_stderr():
        # TensorFlow Datasets is imported for a data set that is not ours.
        check_values(given)
        check_settings(values.set or [])
        if values.config:
            check_file(values.config, given)
    return values.config, given, values.set or [], values.schedule_file
