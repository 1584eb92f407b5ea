"""Registries of parts."""

import ast
import contextlib
import functools
import importlib
import importlib.util
import inspect
import pathlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from cb.errors import InputError
from cb.registry.arguments import accepted
from cb.registry.arguments import bind
from cb.registry.arguments import complete
from cb.registry.arguments import unknown
from cb.registry.inheritance import list_inherited
from cb.registry.specs import Spec
from cb.registry.specs import parse_spec


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
            list_inherited(part)
            self._parts[name] = part
            return part

        return decorator

    @contextlib.contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Take back what is registered meanwhile, if an error ends it."""
        before = dict(self._parts)
        try:
            yield
        except BaseException:
            self._parts = before
            raise

    def remove(self, name: str) -> None:
        """Forget a part that was registered."""
        self._parts.pop(name, None)

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
        wanted = accepted(target)
        context = {key: given[key] for key in given if key in wanted}
        try:
            return target(**values, **context)
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            # The values come from the user's text, so a library that
            # refuses them refuses the user's input.
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
        return {name: package for name in _registered(origin, whole=True)}
    return {
        name: f"{package}.{path.stem}"
        for path in sorted(origin.parent.glob("*.py"))
        if path != origin
        for name in _registered(path)
    }


def _has_registry(module: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Assign)
        and any(getattr(name, "id", "") == "REGISTRY" for name in node.targets)
        for node in module.body
    )


def _registered(path: pathlib.Path, whole: bool = False) -> list[str]:
    """List the names that a module registers in the registry of its package.

    Args:
        path: Path of the module.
        whole: Boolean, whether it is no part of a package, where a module with
            a registry of its own fills that one.
    """
    module = ast.parse(path.read_text(encoding="utf-8"))
    if not whole and _has_registry(module):
        return []
    return [
        str(call.args[0].value)
        for call in ast.walk(module)
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", "") == "register"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    ]
