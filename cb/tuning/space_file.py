"""Search spaces in YAML files, published ones included."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from cb.config import IDENTITY
from cb.config import METADATA
from cb.config import SPECS
from cb.errors import InputError
from cb.registry import unknown
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
    if not parameters:
        raise InputError(
            f"Space {name!r} must have parameters under `search`. "
            "Received: none"
        )
    fixed = content["fixed"]
    for key in fixed:
        if key not in METADATA:
            raise unknown(f"flag under `fixed` in {name!r}", key, METADATA)
    budget = content.get("budget")
    if budget is not None and (type(budget) is not int or budget < 1):
        raise InputError(
            f"Space {name!r} must have a positive integer as `budget`. "
            f"Received: budget={budget!r}"
        )
    return Space(
        pathlib.Path(name).stem,
        fixed,
        _ordered(_with_conditions(parameters, search, name), name),
        budget,
    )


def _read(name: str, extended_by: tuple[pathlib.Path, ...] = ()) -> dict:
    """Read a file merged over those that it extends."""
    path = _path(name, extended_by)
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"Space {name!r} cannot be read: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(
            f"Space {name!r} must be a mapping with {list(KEYS)}. "
            f"Received: {content!r}"
        )
    for key in content:
        if key not in KEYS:
            raise unknown(f"key in space {name!r}", key, KEYS)
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
        path = (folder / name).resolve()
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
    if not isinstance(found, dict) or not all(
        isinstance(key, str) for key in found
    ):
        raise InputError(
            f"{what} must be a mapping with names as keys. Received: {value!r}"
        )
    return found


def _parameter(path: str, entry: Any, space: str) -> Parameter:
    where = f"Parameter `{path}` of space {space!r}"
    if not isinstance(entry, Mapping):
        raise InputError(f"{where} must be a mapping. Received: {entry!r}")
    for key in entry:
        if key not in PARAMETER_KEYS:
            raise unknown(f"key of parameter `{path}`", key, PARAMETER_KEYS)
    kind = entry.get("type")
    if kind not in KINDS:
        raise unknown(f"type of parameter `{path}`", kind, KINDS)
    if kind == "choice":
        parameter = _choice(path, entry, where)
    else:
        parameter = _range(path, entry, where)
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
    values = entry.get("values")
    effects = None
    if isinstance(values, Mapping):
        # keras-tuner does not support booleans in a choice, so names are text.
        effects = {str(name): effect or {} for name, effect in values.items()}
        values = list(effects)
        if not all(isinstance(effect, Mapping) for effect in effects.values()):
            raise InputError(
                f"{where} must map each value to settings. Received: {effects}"
            )
    if not isinstance(values, list) or not values:
        raise InputError(
            f"{where} must have a list of `values`. Received: {values!r}"
        )
    kinds = {type(value) for value in values}
    if len(kinds) > 1 or not kinds <= {str, int, float}:
        raise InputError(
            f"{where} must have values that are all text or all numbers of "
            f"one type. Received: {values!r}"
        )
    default = entry.get("default", values[0])
    if default not in values:
        raise InputError(
            f"{where} must have a default among its values. "
            f"Received: default={default!r}"
        )
    return Parameter(
        name=path,
        kind="choice",
        values=tuple(values),
        effects=effects,
        default=default,
    )


def _range(path: str, entry: Mapping, where: str) -> Parameter:
    convert = {"float": float, "int": int}[entry["type"]]
    numbers = {}
    for key in ("min", "max", "default"):
        value = entry.get(key, entry.get("min") if key == "default" else None)
        try:
            # YAML reads 1e-5 as text.
            numbers[key] = convert(value)
        except (TypeError, ValueError):
            raise InputError(
                f"{where} must have `{key}`, a number. Received: {value!r}"
            ) from None
    low, high = numbers["min"], numbers["max"]
    if not low < high:
        raise InputError(
            f"{where} must have min < max. Received: min={low}, max={high}"
        )
    if not low <= numbers["default"] <= high:
        raise InputError(
            f"{where} must have a default between {low} and {high}. "
            f"Received: default={numbers['default']}"
        )
    log = bool(entry.get("log", False))
    if log and low <= 0:
        raise InputError(
            f"{where} must have min > 0 on a logarithmic scale. "
            f"Received: min={low}"
        )
    return Parameter(
        name=path,
        kind=entry["type"],
        low=low,
        high=high,
        log=log,
        default=numbers["default"],
    )


def _with_conditions(
    parameters: dict[str, Parameter], search: Mapping, space: str
) -> list[Parameter]:
    return [
        dataclasses.replace(
            parameter,
            when={
                other: _allowed(parameters, path, other, values, space)
                for other, values in _mapping(
                    search[path].get("when"), f"Condition of `{path}`"
                ).items()
            },
        )
        for path, parameter in parameters.items()
    ]


def _allowed(parameters, path: str, other: str, values: Any, space: str):
    """Return the values of another parameter that satisfy a condition."""
    if other not in parameters:
        raise unknown(
            f"parameter in the condition of `{path}` in space {space!r}",
            other,
            parameters,
        )
    parent = parameters[other]
    if parent.kind != "choice":
        return _allowed_integers(parent, path, values)
    values = tuple(values) if isinstance(values, list) else (values,)
    if parent.effects is not None:
        values = tuple(str(value) for value in values)
    if not values:
        raise InputError(
            f"Condition of `{path}` must have values of `{other}`. "
            "Received: none"
        )
    for value in values:
        if value not in parent.values:
            raise unknown(
                f"value of `{other}` in the condition of `{path}`",
                value,
                map(str, parent.values),
            )
    return values


def _allowed_integers(parent: Parameter, path: str, values: Any) -> tuple:
    """Return the integers that satisfy a condition, a range or a list."""
    everything = range(int(parent.low or 0), int(parent.high or 0) + 1)
    if isinstance(values, Mapping):
        low = values.get("min", everything[0])
        high = values.get("max", everything[-1])
        limits = (low, high)
        if {*values} <= {"min", "max"} and all(map(_is_integer, limits)):
            values = [value for value in everything if low <= value <= high]
    found = tuple(values) if isinstance(values, list) else (values,)
    if parent.kind != "int" or not (
        found and all(_is_integer(v) and v in everything for v in found)
    ):
        raise InputError(
            f"Condition of `{path}` on `{parent.name}` must hold for integers "
            f"from {parent.low} to {parent.high}, or values of a choice. "
            f"Received: {values!r}"
        )
    return found


def _is_integer(value: Any) -> bool:
    return type(value) is int


def _ordered(parameters: list[Parameter], space: str) -> tuple[Parameter, ...]:
    """Order parameters after those that their conditions name."""
    ordered: list[Parameter] = []
    left = list(parameters)
    while left:
        done = {parameter.name for parameter in ordered}
        ready = [one for one in left if set(one.when) <= done]
        if not ready:
            raise InputError(
                f"Space {space!r} must not have circular conditions. "
                f"Received: {sorted(one.name for one in left)}"
            )
        ordered.append(ready[0])
        left.remove(ready[0])
    return tuple(ordered)
