"""Search spaces in YAML files, published ones included."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from cb.config import IDENTITY
from cb.config import METADATA
from cb.config import SPECS
from cb.errors import InputError
from cb.files import documents
from cb.registry import Count
from cb.registry import check
from cb.registry import unknown
from cb.registry.annotations import allows
from cb.registry.annotations import describe
from cb.tuning.space import Parameter
from cb.tuning.space import Space

PUBLISHED = pathlib.Path(__file__).parent / "spaces"
KEYS = ("budget", "extends", "fixed", "search")
KINDS = ("choice", "float", "int")
PARAMETER_KEYS = ("default", "log", "max", "min", "type", "values", "when")


def published() -> list[str]:
    """Return the names of the spaces shipped with the package."""
    return sorted(path.stem for path in PUBLISHED.glob("*.yaml"))


def read_space(name: str) -> Space:
    """Read a search space.

    Args:
        name: String, the path of a YAML file or one of `published()`.

    Returns:
        `Space`.

    Raises:
        InputError: If it does not exist or is malformed.
    """
    content = _read(name)
    search = content["search"]
    parameters = {
        path: _parameter(path, entry, name)
        for path, entry in search.items()
        if entry is not None
    }
    _require(
        parameters, f"Space {name!r}", "have parameters under `search`", search
    )
    fixed = content["fixed"]
    _check_names(fixed, f"flag under `fixed` in {name!r}", METADATA)
    budget = content.get("budget")
    check("budget", budget, Count | None, f"space {name!r}")
    return Space(
        pathlib.Path(name).stem,
        fixed,
        _ordered(_with_conditions(parameters, search, name), name),
        budget,
    )


def _read(name: str, extended_by: tuple[pathlib.Path, ...] = ()) -> dict:
    """Read a file merged over those that it extends."""
    path = _path(name, extended_by)
    text = documents.read_text(path, f"Space {name!r}")
    content = documents.parse(text, f"Space {name!r}")
    content = _mapping(content, f"Space {name!r}")
    _check_names(content, f"key in space {name!r}", KEYS)
    for key in ("fixed", "search"):
        what = f"Entry `{key}` of space {name!r}"
        content[key] = _mapping(content.get(key), what)
    if "extends" not in content:
        return content
    base = _read(content["extends"], (*extended_by, path))
    merged = {**base, **content}
    for key in ("fixed", "search"):
        merged[key] = {**base[key], **content[key]}
    return merged


def _path(name: Any, extended_by: tuple[pathlib.Path, ...]) -> pathlib.Path:
    """Find a file, relative to the one that extends it."""
    path = None
    if isinstance(name, str):
        folder = extended_by[-1].parent if extended_by else pathlib.Path()
        path = (folder / os.path.expanduser(name)).resolve()
        if path.suffix not in (".yaml", ".yml"):
            if name not in published():
                raise unknown("space (or a .yaml file)", name, published())
            path = PUBLISHED / f"{name}.yaml"
    if path is None or path in extended_by:
        raise InputError(
            f"Space {str(extended_by[0])!r} must extend the name or the file "
            f"of another space. Received: extends={name!r}"
        )
    return path


def _mapping(value: Any, what: str) -> dict[str, Any]:
    """Return a mapping with names as keys; `None` becomes an empty one."""
    found = {} if value is None else value
    good = allows(Mapping[str, object], found)
    _require(good, what, "be a mapping with names as keys", value)
    return found


def _check_names(names: Iterable, what: str, known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise unknown(what, name, known)


def _require(good: object, what: str, expected: str, received: Any) -> None:
    if not good:
        raise InputError(f"{what} must {expected}. Received: {received!r}")


def _parameter(path: str, entry: Any, space: str) -> Parameter:
    where = f"Parameter `{path}` of space {space!r}"
    _require(isinstance(entry, Mapping), where, "be a mapping", entry)
    _check_names(entry, f"key of parameter `{path}`", PARAMETER_KEYS)
    kind = entry.get("type")
    _check_names([kind], f"type of parameter `{path}`", KINDS)
    make = _choice if kind == "choice" else _range
    parameter = make(path, entry, where)
    for name in sorted(parameter.written):
        _check_name(name, where)
    return parameter


def _check_name(name: str, where: str) -> None:
    field, _, keyword = name.partition(".")
    if field not in IDENTITY:
        raise unknown(
            f"flag that {where[0].lower()}{where[1:]} sets", field, IDENTITY
        )
    if keyword and field not in SPECS:
        raise unknown(f"part with hyperparameters for `{name}`", field, SPECS)


def _choice(path: str, entry: Mapping, where: str) -> Parameter:
    values: Any = entry.get("values")
    effects = None
    if isinstance(values, Mapping):
        # keras-tuner does not support booleans in a choice, so names are text.
        effects = {str(name): effect or {} for name, effect in values.items()}
        values = list(effects)
        good = allows(Mapping[str, Mapping], effects)
        _require(good, where, "map each value to settings", effects)
    good = isinstance(values, list) and bool(values)
    _require(good, where, "have a list of `values`", values)
    kinds = {type(value) for value in values}
    good = len(kinds) == 1 and kinds <= {str, int, float}
    expected = "have values that are all text or all numbers of one type"
    _require(good, where, expected, values)
    default = entry.get("default", values[0])
    expected = "have a default among its values"
    _require(default in values, where, expected, default)
    return Parameter(
        name=path,
        kind="choice",
        values=tuple(values),
        effects=effects,
        default=default,
    )


def _range(path: str, entry: Mapping, where: str) -> Parameter:
    kind = {"float": float, "int": int}[entry["type"]]
    numbers = {}
    for key in ("min", "max", "default"):
        value: Any = entry.get("min") if key == "default" else None
        value = entry.get(key, value)
        good = allows(kind, value) and math.isfinite(value)
        expected = f"have `{key}`, {describe(kind)}"
        _require(good, where, expected, value)
        numbers[key] = kind(value)
    low, high, default = numbers.values()
    _require(low < high, where, "have min < max", numbers)
    expected = f"have a default between {low} and {high}"
    _require(low <= default <= high, where, expected, default)
    log = entry.get("log", False)
    _require(type(log) is bool, where, "have true or false as `log`", log)
    expected = "have min > 0 on a logarithmic scale"
    _require(low > 0 or not log, where, expected, low)
    return Parameter(
        name=path,
        kind=entry["type"],
        low=low,
        high=high,
        log=log,
        default=default,
    )


def _with_conditions(
    parameters: dict[str, Parameter], search: Mapping, space: str
) -> list[Parameter]:
    found = []
    for path, one in parameters.items():
        when = _mapping(search[path].get("when"), f"Condition of `{path}`")
        allowed = {
            other: _allowed(parameters, path, other, values, space)
            for other, values in when.items()
        }
        found.append(dataclasses.replace(one, when=allowed))
    return found


def _allowed(parameters, path: str, other: str, values: Any, space: str):
    """Return the values of another parameter that satisfy a condition."""
    what = f"parameter in the condition of `{path}` in space {space!r}"
    _check_names([other], what, parameters)
    parent = parameters[other]
    if parent.kind != "choice":
        return _allowed_integers(parent, path, values)
    values = tuple(values) if isinstance(values, list) else (values,)
    if parent.effects is not None:
        values = tuple(str(value) for value in values)
    expected = f"have values of `{other}`"
    _require(values, f"Condition of `{path}`", expected, values)
    what = f"value of `{other}` in the condition of `{path}`"
    _check_names(values, what, parent.values)
    return values


def _allowed_integers(parent: Parameter, path: str, values: Any) -> tuple:
    """Return the integers that satisfy a condition, a range or a list."""
    everything = range(int(parent.low or 0), int(parent.high or 0) + 1)
    if isinstance(values, Mapping):
        low = values.get("min", everything[0])
        high = values.get("max", everything[-1])
        limits = (low, high)
        if {*values} <= {"min", "max"} and allows(list[int], limits):
            values = [value for value in everything if low <= value <= high]
    found = tuple(values) if isinstance(values, list) else (values,)
    inside = allows(list[int], found) and {*found} <= {*everything}
    _require(
        parent.kind == "int" and found and inside,
        f"Condition of `{path}` on `{parent.name}`",
        f"hold for integers from {parent.low} to {parent.high}, or values of "
        "a choice",
        values,
    )
    return found


def _ordered(parameters: list[Parameter], space: str) -> tuple[Parameter, ...]:
    """Order parameters after those that their conditions name."""
    ordered: list[Parameter] = []
    left = list(parameters)
    while left:
        done = {parameter.name for parameter in ordered}
        ready = [one for one in left if set(one.when) <= done]
        names = sorted(one.name for one in left)
        expected = "not have circular conditions"
        _require(ready, f"Space {space!r}", expected, names)
        ordered.append(ready[0])
        left.remove(ready[0])
    return tuple(ordered)
