"""The layers that a configuration is made of: defaults, a file, flags."""

import ast
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from cb.config import schedule_file
from cb.config.fields import SPECS
from cb.config.fields import Config
from cb.errors import InputError
from cb.registry import parse_spec
from cb.registry import unknown

# Where a value comes from that nobody has asked for.
DERIVED = ("default", "regime")


def layered(
    file: str | None,
    flags: Mapping[str, Any],
    settings: list[str],
    schedule: str | None = None,
) -> tuple[Config, dict[str, str]]:
    """Lay defaults, a file, flags and `--set` on top of each other.

    Args:
        file: Path of a YAML or JSON file, or `None`. What a run's
            `config.json` says nobody asked for, is still that.
        flags: Dict of field to value, those given explicitly.
        settings: List of `"field=value"` or `"field.keyword=value"`.
        schedule: Path of a schedule file, which decides what a file of
            fields would and says more of the algorithm than its spec.

    Returns:
        Tuple of the `Config` and a dict that says where each value came
        from.

    Raises:
        InputError: If the file, a name or a value is wrong.
    """
    fields = [field.name for field in dataclasses.fields(Config)]
    values: dict[str, Any] = {}
    sources = dict.fromkeys(fields, "default")
    if file is not None:
        content, theirs = _read(file)
        for key, value in content.items():
            values[key] = value
            derived = theirs.get(key) in DERIVED
            sources[key] = theirs[key] if derived else f"file {file}"
    for key, value in flags.items():
        values[key] = value
        sources[key] = "flag"
    for setting in settings:
        path = _apply(setting, values, fields)
        sources[path] = "set"
    if schedule is not None:
        _schedule(schedule, values, sources)
    return Config(**values), sources


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
        InputError: If the file cannot be read or holds an unknown name.
    """
    return _read(file)[0]


def is_explicit(field: str, sources: Mapping[str, str]) -> bool:
    """Tell whether the user gave a field a value, or a keyword of it.

    Args:
        field: String.
        sources: Dict of field, or `field.keyword`, to where it came from.
    """
    return any(
        source not in DERIVED
        for path, source in sources.items()
        if path.partition(".")[0] == field
    )


def _read(file: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the fields of a file, and where a run says they came from."""
    sources: dict[str, str] = {}
    text = _read_text("config", file)
    try:
        # Every JSON file is a YAML file.
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"Argument `config` cannot be read: {reason}"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("config"), dict):
        sources = dict(content.get("sources") or {})
        content = content["config"]
    if not isinstance(content, dict):
        raise InputError(
            "Argument `config` must be a file with a mapping of names to "
            f"values. Received: {file!r}"
        )
    known = [field.name for field in dataclasses.fields(Config)]
    for key in content:
        if key not in known:
            raise unknown(f"name in {file!r}", key, known)
    return content, sources


def _apply(setting: str, values: dict[str, Any], fields: list[str]) -> str:
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
    if field not in fields:
        raise unknown("name in `set`", field, fields)
    if keyword:
        if field not in SPECS:
            raise unknown("part with keywords in `set`", field, SPECS)
        spec = parse_spec(values.get(field, getattr(Config, field)))
        value = str(spec.changed(keyword, value))
    values[field] = value
    return path
