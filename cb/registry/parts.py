"""The registries of parts, and the arguments that specs give to parts."""

import ast
import functools
import importlib
import importlib.util
import inspect
import pathlib
import sys
import types
import typing
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from cb.errors import InputError
from cb.registry.annotations import check
from cb.registry.annotations import nearest
from cb.registry.specs import Spec
from cb.registry.specs import parse_spec

_EMPTY = inspect.Parameter.empty
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


def check_arguments(target: Callable, **values: Any) -> None:
    """Compare arguments with the annotations of the parameters they are for.

    For parts that are also made without a spec.

    Args:
        target: Class or function.
        **values: Arguments that it was given, or some of them.

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
        library: Dict of annotations by name, for parameters that are not
            ours. Those of them that it does not name must have the type of
            their default. With `None`, the default says nothing.

    Returns:
        Dict of `inspect.Parameter`; their annotations are no strings, and
        empty where there is none or it cannot be resolved.
    """
    found: dict[str, inspect.Parameter] = {}
    left_out = {*given}
    for function, parameters in _signatures(target):
        for parameter in parameters:
            name = parameter.name
            if parameter.kind in _VARIADIC or name in left_out or name in found:
                continue
            annotation = _annotation(function, parameter, library)
            found[name] = parameter.replace(annotation=annotation)
    return found


def _signatures(target: Callable):
    """Yield the functions that arguments go to, and their parameters."""
    if not isinstance(target, type):
        yield target, inspect.signature(target).parameters.values()
        return
    for kind in target.__mro__[:-1]:
        if "__init__" in vars(kind):
            function = vars(kind)["__init__"]
            _, *parameters = inspect.signature(function).parameters.values()
            yield function, parameters
            if _KEYWORDS not in {parameter.kind for parameter in parameters}:
                return


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


class Registry:
    """The parts of one kind, each in a module of one package.

    A module registers its parts with `@REGISTRY.register("name")`. The names
    are read from the source, so they can be listed without importing what
    the modules need; a module is imported when a part of it is asked for.

    Args:
        kind: What the parts are, for messages, e.g. `"model"`.
        package: Name of the package that holds the modules.
        given: Parameter names that the caller of `build` fills.
        elsewhere: Dict of names to `"module:attribute"`, for parts that a
            library has.
        library: As in `accepted`.
    """

    def __init__(
        self,
        kind: str,
        package: str,
        given: Iterable[str] = (),
        elsewhere: dict[str, str] | None = None,
        library: Mapping[str, Any] | None = None,
    ):
        self.kind = kind
        self.package = package
        self.given = tuple(given)
        self.library = library
        self._elsewhere = dict(elsewhere or {})
        self._parts: dict[str, Callable] = {}

    def register(self, name: str):
        """Return a decorator that adds a class or function as `name`."""

        def decorator(part):
            self._parts[name] = part
            return part

        return decorator

    def names(self) -> list[str]:
        """Return all known names, sorted, importing no part."""
        return sorted({*self._parts, *self._elsewhere, *self._modules()})

    def get(self, name: str) -> Callable:
        """Return the class or function registered as `name`."""
        if name not in self._parts:
            if name in self._elsewhere:
                module, attribute = self._elsewhere[name].split(":")
                part = getattr(importlib.import_module(module), attribute)
                self._parts[name] = part
            elif name in self._modules():
                importlib.import_module(self._modules()[name])
            else:
                raise unknown(self.kind, name, self.names())
        return self._parts[name]

    def parameters(self, name: str) -> dict[str, inspect.Parameter]:
        """Return the parameters of a part that a spec may set, by name."""
        return accepted(self.get(name), self.given, self.library)

    def bind(self, spec: str | Spec) -> dict[str, Any]:
        """Return the keyword arguments that a spec gives, checked.

        Args:
            spec: Spec string or `Spec`.

        Raises:
            InputError: As in `build`, without the part being made.
        """
        spec = parse_spec(spec)
        target = self.get(spec.name)
        return bind(target, spec, self.kind, self.given, self.library)

    def build(self, spec: str | Spec, **given):
        """Make the part that `spec` names.

        Args:
            spec: Spec string or `Spec`.
            **given: The values of the parameters named in `given`; those the
                part does not take are left out.

        Returns:
            What the registered class or function returns.

        Raises:
            InputError: If the spec is malformed, its name or a keyword is
                unknown, or the part refuses a value.
        """
        spec = parse_spec(spec)
        target = self.get(spec.name)
        values = self.bind(spec)
        wanted = set(inspect.signature(target).parameters)
        context = {key: given[key] for key in given if key in wanted}
        try:
            return target(**values, **context)
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            # The values come from the user's text, so the refusal of a
            # library is about the user's input.
            raise InputError(
                f"{self.kind.capitalize()} `{spec}` was refused: {error}"
            ) from error

    def complete(self, spec: str | Spec) -> Spec:
        """Return the spec with every default written out."""
        spec = parse_spec(spec)
        target = self.get(spec.name)
        return complete(target, spec, self.kind, self.given, self.library)

    def _modules(self) -> dict[str, str]:
        return registered_names(self.package)


def _literal(value) -> bool:
    try:
        return ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError):
        return False


@functools.cache
def registered_names(package: str) -> dict[str, str]:
    """Read from the source which names the modules of a package register.

    Args:
        package: Name of a package, or of a single module.

    Returns:
        Dict of registered name to the module that registers it.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return {}
    origin = pathlib.Path(found.origin)
    if not found.submodule_search_locations:
        return {name: package for name in _decorated(origin)}
    return {
        name: f"{package}.{path.stem}"
        for path in sorted(origin.parent.glob("*.py"))
        # A module with a registry of its own fills that one.
        if path != origin and not _has_registry(path)
        for name in _decorated(path)
    }


def _has_registry(path: pathlib.Path) -> bool:
    return any(
        isinstance(node, ast.Assign)
        and any(getattr(name, "id", "") == "REGISTRY" for name in node.targets)
        for node in _parsed(path).body
    )


def _parsed(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _decorated(path: pathlib.Path) -> list[str]:
    return [
        str(decorator.args[0].value)
        for node in _parsed(path).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        and getattr(decorator.func, "attr", "") == "register"
        and decorator.args
        and isinstance(decorator.args[0], ast.Constant)
    ]
