"""Arguments of parts: matching specs with parameters, and checks."""

import ast
import inspect
import sys
import types
import typing
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from cb.errors import InputError
from cb.registry.annotations import check
from cb.registry.annotations import nearest
from cb.registry.specs import Spec
from cb.registry.specs import parse_spec

_EMPTY = inspect.Parameter.empty
_KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
_KEYWORDS = inspect.Parameter.VAR_KEYWORD
_VARIADIC = (_KEYWORDS, inspect.Parameter.VAR_POSITIONAL)


def unknown(what: str, name: Any, known: Iterable[str]) -> InputError:
    """Return the error for a name that is not among the known ones."""
    known = sorted(known)
    return InputError(
        f"Unknown {what}. Expected one of {known}. "
        f"Received: {name!r}.{nearest(name, known)}"
    )


def bind(
    target: Callable,
    spec: Spec,
    kind: str,
    given: Iterable[str] = (),
    library: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Match the arguments of a spec with the parameters of its target.

    Args:
        target: The class or function that the spec names.
        spec: The `Spec`.
        kind: What the target is, for messages.
        given: Parameter names that the caller fills, not the user.
        library: As in `accepted`.

    Returns:
        Dict of keyword arguments.

    Raises:
        InputError: If an argument is unknown, given twice, missing, or not
            what the annotation of its parameter allows.
    """
    parameters = accepted(target, given, library)
    owner = f"{kind} `{spec.name}`"
    if len(spec.args) > len(parameters):
        raise InputError(
            f"Too many arguments for {owner}. Expected at most "
            f"{len(parameters)} ({list(parameters)}). Received: {spec}"
        )
    values = dict(zip(parameters, spec.args, strict=False))
    for key, value in spec.kwargs.items():
        if key not in parameters:
            raise unknown(f"keyword in {owner}", key, parameters)
        if key in values:
            raise InputError(f"Argument `{key}` is given twice in `{spec}`.")
        values[key] = value
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is _EMPTY and name not in values
    ]
    if missing:
        raise InputError(
            f"Missing arguments for {owner}: {missing}. Received: {spec}"
        )
    _check(parameters, values, owner)
    return values


def one_of(
    spec: str | Spec,
    kind: str,
    parts: Mapping[str, Callable],
    given: Iterable[str] = (),
) -> Spec:
    """Complete a spec of one of a few parts, for which no registry is needed.

    Args:
        spec: Spec string or `Spec`.
        kind: As in `bind`.
        parts: Dict of name to class or function.
        given: As in `bind`.

    Returns:
        The `Spec` with every default written out.

    Raises:
        InputError: If the name is unknown, and as in `bind`.
    """
    spec = parse_spec(spec)
    if spec.name not in parts:
        raise unknown(kind, spec.name, parts)
    return complete(parts[spec.name], spec, kind, given)


def nothing() -> None:
    """Take no arguments, as the part of `one_of` that stands for nothing."""


def check_arguments(target: Callable, **values: Any) -> None:
    """Check arguments against the annotations of their parameters.

    For parts that are also built without a spec.

    Args:
        target: Class or function.
        **values: The arguments to check.

    Raises:
        InputError: If one is not what its annotation allows.
    """
    _check(accepted(target), values, f"`{target.__name__}`")


def _check(parameters, values: Mapping[str, Any], owner: str) -> None:
    for name, value in values.items():
        if parameters[name].annotation is not _EMPTY:
            check(name, value, parameters[name].annotation, owner)


def accepted(
    target: Callable,
    given: Iterable[str] = (),
    library: Mapping[str, Any] | None = None,
) -> dict[str, inspect.Parameter]:
    """Return the parameters of `target` that a spec may set, by name.

    The `**kwargs` of a class stand for the parameters of its base class.

    Args:
        target: Class or function.
        given: Parameter names to leave out.
        library: Dict of annotations by name, for parameters of other packages.
            Parameters that it does not name must have the type of their
            default. With `None`, only annotations count.

    Returns:
        Dict of `inspect.Parameter`. Annotations are resolved; they are empty
        where there is none or it cannot be resolved.
    """
    found: dict[str, inspect.Parameter] = {}
    left_out = {*given}
    of_class = isinstance(target, type)
    for place, function in enumerate(_functions(target)):
        # The first parameter of a method is `self`.
        for parameter in _parameters(function)[of_class:]:
            name = parameter.name
            if parameter.kind in _VARIADIC or name in left_out or name in found:
                continue
            found[name] = parameter.replace(
                annotation=_annotation(function, parameter, library),
                kind=_KEYWORD_ONLY if place else parameter.kind,
            )
    return found


def takes_keywords(function: Callable) -> bool:
    """Tell whether a function has `**kwargs`."""
    return _KEYWORDS in {found.kind for found in _parameters(function)}


def _functions(target: Callable) -> Iterator[Callable]:
    """Yield the functions that arguments go to, those of base classes last."""
    if not isinstance(target, type):
        yield target
        return
    for kind in target.__mro__[:-1]:
        if "__init__" in vars(kind):
            yield vars(kind)["__init__"]
            if not takes_keywords(vars(kind)["__init__"]):
                return


def _parameters(function: Callable) -> list[inspect.Parameter]:
    return [*inspect.signature(function).parameters.values()]


def _annotation(function, parameter, library) -> Any:
    name, annotation = parameter.name, parameter.annotation
    if library is not None and not function.__module__.startswith("cb."):
        if name in library:
            return library[name]
        if annotation is _EMPTY and parameter.default not in (None, _EMPTY):
            return type(parameter.default)
    if not isinstance(annotation, str):
        return annotation
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        return typing.get_type_hints(
            holder, vars(sys.modules[function.__module__]), include_extras=True
        )[name]
    except NameError:
        # Something that only type checkers import.
        return _EMPTY


def complete(
    target: Callable,
    spec: Spec,
    kind: str,
    given: Iterable[str] = (),
    library: Mapping[str, Any] | None = None,
) -> Spec:
    """Return a spec with every default of its target written out.

    Args:
        target: As in `bind`.
        spec: As in `bind`.
        kind: As in `bind`.
        given: As in `bind`.
        library: As in `accepted`.

    Returns:
        A `Spec` of keywords with literal values.

    Raises:
        InputError: As in `bind`.
    """
    values = bind(target, spec, kind, given, library)
    kwargs = {
        name: values.get(name, parameter.default)
        for name, parameter in accepted(target, given, library).items()
    }
    return Spec(
        spec.name,
        (),
        {key: value for key, value in kwargs.items() if _literal(value)},
    )


def _literal(value) -> bool:
    try:
        return ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError):
        return False
