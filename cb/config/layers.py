"""Merges defaults, a file, flags and settings into a configuration."""

import ast
import contextlib
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from cb.config import schedule_file
from cb.config.configuration import METADATA
from cb.config.configuration import SPECS
from cb.config.configuration import Config
from cb.config.configuration import check_values
from cb.config.configuration import checked
from cb.errors import InputError
from cb.files.documents import line_of
from cb.files.documents import parse
from cb.files.documents import read_text
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
        check_file(file, flags)
        found = _read(file)
        values = dict(found.values)
        for name in values:
            recorded = found.sources.get(name, "")
            # A keyword of it may have been set.
            derived = recorded in DERIVED and not is_explicit(
                name, found.sources
            )
            sources[name] = recorded if derived else f"file {file}"
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
        schedule_file.parse(read_text(file, "Argument `schedule_file`")),
        values["learning_rate"] if "learning_rate" in given else None,
        values.get("reallocation", Config.reallocation),
    )
    for name, value in decided.items():
        if name == "reallocation" or name not in given:
            values[name] = value
            sources[name] = f"schedule file {file}"


def read_file(file: str) -> dict[str, Any]:
    """Read the fields of a configuration from YAML or JSON.

    Args:
        file: Path; a run's own `config.json` is accepted too.

    Returns:
        Dict of field name to value.

    Raises:
        InputError: If the file cannot be read, holds an unknown name or a
            value of the wrong type, or was written by a newer version.
    """
    found = _read(file)
    for name, value in found.values.items():
        with found.blamed(name):
            checked(name, value)
    return found.values


def check_file(file: str, overridden: Collection[str] = ()) -> None:
    """Check a file of a configuration as `check_values` does.

    Args:
        file: As in `read_file`.
        overridden: Names of fields whose values in the file do not count.

    Raises:
        InputError: If the file or a value is wrong; it names the line.
    """
    found = _read(file)
    for name, value in found.values.items():
        if name not in overridden:
            with found.blamed(name):
                check_values({name: value})


def check_settings(settings: list[str]) -> None:
    """Check each `--set` as far as no other value matters.

    Args:
        settings: As in `layered`.

    Raises:
        InputError: If a name is unknown, or the value of a field is wrong.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        path = setting.partition("=")[0]
        field, _, keyword = path.partition(".")
        if field not in METADATA:
            raise unknown("name in `set`", field, METADATA)
        if not keyword:
            _apply(setting, values)
    check_values(values)


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


class _File(NamedTuple):
    """A file of a configuration, as it was read.

    Attributes:
        name: String, its path.
        text: String, its content.
        values: Dict of field to value.
        sources: Dict of field to its source, if a run wrote the file.
        outer: Keys that lead to the fields from outside.
    """

    name: str
    text: str
    values: dict[str, Any]
    sources: dict[str, str]
    outer: tuple[str, ...]

    def place(self, key: str) -> str:
        """Return the file and the line of a field."""
        line = line_of(self.text, *self.outer, key)
        return f"{self.name!r}" + (f", line {line}" if line else "")

    @contextlib.contextmanager
    def blamed(self, key: str) -> Iterator[None]:
        """Add the place of a field to errors."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{error} ({self.place(key)})") from error


def _read(file: str) -> _File:
    """Read a file, and the sources of its fields if a run wrote it."""
    text = read_text(file, "Argument `config`")
    content = parse(text, f"Argument `config`, {file!r},")
    sources: dict[str, str] = {}
    outer: tuple[str, ...] = ()
    if isinstance(content, dict) and isinstance(content.get("config"), dict):
        _check_format(content.get("format", FORMAT), file)
        sources = dict(content.get("sources") or {})
        content, outer = content["config"], ("config",)
    if not isinstance(content, dict):
        raise InputError(
            "Argument `config` must be a file with a mapping of names to "
            f"values. Received: {file!r}"
        )
    found = _File(file, text, content, sources, outer)
    for key in content:
        if key not in METADATA:
            raise unknown(f"name in {found.place(key)}", key, METADATA)
    return found


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
