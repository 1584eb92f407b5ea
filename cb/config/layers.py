"""Merges defaults, a file, flags and settings into a configuration."""

import ast
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from cb.config import schedule_file
from cb.config.configuration import METADATA
from cb.config.configuration import SPECS
from cb.config.configuration import Config
from cb.config.configuration import check_values
from cb.errors import InputError
from cb.errors import one_line
from cb.registry import check
from cb.registry import parse_spec
from cb.registry import unknown

# The version of `config.json`: raised when older code would misread it.
FORMAT = 1
# Sources of values that the user did not give.
DERIVED = ("default", "regime")


def layered(
    file: str | None,
    flags: Mapping[str, Any],
    settings: list[str],
    schedule: str | None = None,
) -> tuple[Config, dict[str, str]]:
    """Merge defaults, a file, flags and `--set`; later ones override.

    Args:
        file: Path of a YAML or JSON file, or `None`. Values that a run's
            `config.json` marks as defaults stay defaults.
        flags: Dict of field to value, those given explicitly.
        settings: List of `"field=value"` or `"field.keyword=value"`.
        schedule: Path of a schedule file, or `None`. It wins over `file`, and
            for the algorithm's schedules over flags.

    Returns:
        Tuple of the `Config` and a dict of field, or `field.keyword`, to the
        source of its value.

    Raises:
        InputError: If the file, a name or a value is wrong.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(METADATA, "default")
    if file is not None:
        values, recorded = _read(file)
        for name in values:
            derived = recorded.get(name) in DERIVED
            sources[name] = recorded[name] if derived else f"file {file}"
    values.update(flags)
    sources.update(dict.fromkeys(flags, "flag"))
    for setting in settings:
        sources[_apply(setting, values)] = "set"
    if schedule is not None:
        _schedule(schedule, values, sources)
    config = Config(**values)
    check_values({name: getattr(config, name) for name in values})
    return config, sources


def _schedule(file: str, values: dict, sources: dict[str, str]) -> None:
    given = {
        name for name, source in sources.items() if source in ("flag", "set")
    }
    decided = schedule_file.settings(
        schedule_file.parse(_read_text("schedule_file", file)),
        values["learning_rate"] if "learning_rate" in given else None,
        values.get("reallocation", Config.reallocation),
    )
    for name, value in decided.items():
        if name == "reallocation" or name not in given:
            values[name] = value
            sources[name] = f"schedule file {file}"


def _read_text(argument: str, file: str) -> str:
    try:
        return pathlib.Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"Argument `{argument}` cannot be read: {error}"
        ) from error


def read_file(file: str) -> dict[str, Any]:
    """Read the fields of a configuration from YAML or JSON.

    Args:
        file: Path; a run's own `config.json` is accepted too.

    Returns:
        Dict of field name to value.

    Raises:
        InputError: If the file cannot be read, holds an unknown name, or was
            written by a newer version.
    """
    return _read(file)[0]


def is_explicit(field: str, sources: Mapping[str, str]) -> bool:
    """Tell whether the user gave a field, or a keyword of it, a value.

    Args:
        field: String.
        sources: Dict of field, or `field.keyword`, to the source of its value.
    """
    return any(
        source not in DERIVED
        for path, source in sources.items()
        if path.partition(".")[0] == field
    )


def _read(file: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the fields of a file, and their sources if a run wrote it."""
    sources: dict[str, str] = {}
    try:
        # Every JSON file is a YAML file.
        content = yaml.safe_load(_read_text("config", file))
    except yaml.YAMLError as error:
        reason = one_line(error, None)
        raise InputError(
            f"Argument `config` cannot be read: {reason}"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("config"), dict):
        _check_format(content.get("format", FORMAT), file)
        sources = dict(content.get("sources") or {})
        content = content["config"]
    if not isinstance(content, dict):
        raise InputError(
            "Argument `config` must be a file with a mapping of names to "
            f"values. Received: {file!r}"
        )
    for key in content:
        if key not in METADATA:
            raise unknown(f"name in {file!r}", key, METADATA)
    return content, sources


def _check_format(number: Any, file: str) -> None:
    check("format", number, int, repr(file))
    if number > FORMAT:
        raise InputError(
            f"The configuration {file!r} was written by a newer version of "
            f"`cb`: its format must be at most {FORMAT}. "
            f"Received: format={number}"
        )


def _apply(setting: str, values: dict[str, Any]) -> str:
    """Apply one `--set` to the values; return the path that it sets."""
    path, separator, text = setting.partition("=")
    if not separator:
        raise InputError(
            "Argument `set` must have the form `name=value` or "
            f"`name.keyword=value`. Received: set={setting!r}"
        )
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    field, _, keyword = path.partition(".")
    if field not in METADATA:
        raise unknown("name in `set`", field, METADATA)
    if keyword:
        if field not in SPECS:
            raise unknown("part with keywords in `set`", field, SPECS)
        spec = parse_spec(values.get(field, getattr(Config, field)))
        value = str(spec.changed(keyword, value))
    values[field] = value
    return path
