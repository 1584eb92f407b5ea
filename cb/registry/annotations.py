"""Checks of values against the annotations of parameters."""

import collections.abc
import difflib
import math
import numbers
import operator
import re
import types
import typing
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Annotated
from typing import Any
from typing import Literal

from cb.errors import InputError

_INTERVAL = re.compile(r"([\[(])(-?[\d.e+-]+|-inf), ?(-?[\d.e+-]+|inf)([\])])")
_NAMES = {
    Any: "anything",
    bool: "True or False",
    int: "an integer",
    float: "a number",
    str: "text",
    type(None): "None",
}
_UNIONS = (typing.Union, types.UnionType)
_SEQUENCES = (list, tuple, collections.abc.Sequence)
_MAPPINGS = (dict, collections.abc.Mapping)


class Interval:
    """The range of a number, for `Annotated[float, Interval("[0, 1)")]`.

    Anything else with `__contains__` and `__str__` can stand beside a type in
    `Annotated` in the same way.

    Args:
        text: Interval in the usual notation, with `inf` where it has no end.

    Example:

    >>> 1.0 in Interval("[0, 1)")
    False
    """

    def __init__(self, text: str):
        found = _INTERVAL.fullmatch(text)
        if found is None:
            raise ValueError(f"Malformed interval: {text!r}")
        self.text = text
        self._low, self._high = float(found[2]), float(found[3])
        low = operator.le if found[1] == "[" else operator.lt
        high = operator.le if found[4] == "]" else operator.lt
        self._compare = low, high

    def __contains__(self, value: float) -> bool:
        low, high = self._compare
        return low(self._low, value) and high(value, self._high)

    def __repr__(self) -> str:
        return f"Interval({self.text!r})"

    def __str__(self) -> str:
        if self._high != math.inf:
            return f"in {self.text}"
        if self.text[0] == "[":
            return f"of at least {self._low:g}"
        return f"of more than {self._low:g}"


def check(name: str, value: Any, annotation: Any, owner: str = "") -> None:
    """Refuse a value that its parameter's annotation does not allow.

    A boolean is no number, an integer is a float, a list is a tuple: values
    may come from YAML or JSON. Numbers must not be NaN.

    Args:
        name: String, the parameter, for the message.
        value: The value.
        annotation: Type, union, `Literal`, sequence, mapping or `Annotated`.
        owner: String such as `"model `mlp`"`, the owner of the parameter, for
            the message.

    Raises:
        InputError: If the value has another type or is out of range.

    Example:

    >>> check("depth", 3, Annotated[int, Interval("[1, inf)")])
    """
    if not allows(annotation, value):
        where = f" of {owner}" if owner else ""
        raise InputError(
            f"Argument `{name}`{where} must be {describe(annotation)}. "
            f"Received: {name}={value!r}{_suggestion(value, annotation)}"
        )


def nearest(text: Any, known: Iterable[str]) -> str:
    """Return a question that suggests the known text nearest to another.

    The initials of several words stand for them, as in `"lr"`.
    """
    known = [*known]
    for name in known:
        initials = "".join(word[:1] for word in name.split("_"))
        if "_" in name and text == initials:
            return f" Did you mean {name!r}?"
    by_letters = {_letters(name): name for name in known}
    found = difflib.get_close_matches(
        _letters(text), by_letters, n=1, cutoff=0.6
    )
    return f" Did you mean {by_letters[found[0]]!r}?" if found else ""


def _letters(text: Any) -> str:
    """Return a name without case, hyphens and underscores."""
    return str(text).lower().replace("-", "").replace("_", "")


def allows(annotation: Any, value: Any) -> bool:
    """Tell whether an annotation allows a value."""
    if annotation is Any:
        return True
    origin, arguments = _taken_apart(annotation)
    if origin is Annotated:
        return allows(arguments[0], value) and all(
            value in limit for limit in arguments[1:]
        )
    if origin in _UNIONS:
        return any(allows(option, value) for option in arguments)
    if origin is Literal:
        # 1 and True are equal, and no values of each other's type.
        return any(
            type(value) is type(option) and value == option
            for option in arguments
        )
    if origin in _SEQUENCES:
        return _allows_items(origin, arguments, value)
    if origin in _MAPPINGS:
        return isinstance(value, Mapping) and all(
            allows(of_key, key) and allows(of_value, item)
            for of_key, of_value in [arguments]
            for key, item in value.items()
        )
    if annotation in (None, type(None)):
        return value is None
    if annotation in (int, float):
        # NumPy's numbers count too; NaN is not equal to itself.
        kind = numbers.Integral if annotation is int else numbers.Real
        number = isinstance(value, kind) and not isinstance(value, bool)
        return number and value == value
    kind = origin or annotation
    # A user's own part may have annotations that say nothing about literals.
    return not isinstance(kind, type) or isinstance(value, kind)


def describe(annotation: Any) -> str:
    """Return what an annotation expects, as it follows "must be"."""
    origin, arguments = _taken_apart(annotation)
    if origin is Annotated:
        limits = " and ".join(map(str, arguments[1:]))
        return f"{describe(arguments[0])} {limits}"
    if origin in _UNIONS:
        return " or ".join(describe(option) for option in arguments)
    if origin is Literal:
        texts = [repr(option) for option in arguments]
        return texts[0] if len(texts) == 1 else f"one of {', '.join(texts)}"
    if origin in _SEQUENCES:
        kinds = [describe(item) for item in arguments if item is not Ellipsis]
        fixed = origin is tuple and Ellipsis not in arguments
        if len({*kinds}) > 1:
            return f"a sequence of {', '.join(kinds)}"
        number = f"{len(kinds)} " if fixed else ""
        return f"a sequence of {number}items, each {kinds[0]}"
    if origin in _MAPPINGS:
        key, item = map(describe, arguments)
        return f"a mapping of {key} to {item}"
    kind = type(None) if annotation is None else annotation
    return _NAMES.get(kind) or f"a {kind.__name__}"


def _taken_apart(annotation: Any) -> tuple[Any, tuple]:
    """Return the origin of an annotation and its arguments."""
    if typing.get_origin(annotation) is Annotated:
        return Annotated, (annotation.__origin__, *annotation.__metadata__)
    return typing.get_origin(annotation), typing.get_args(annotation)


def _allows_items(origin: Any, arguments: tuple, value: Any) -> bool:
    if not isinstance(value, list | tuple):
        return False
    if origin is tuple and Ellipsis not in arguments:
        return len(value) == len(arguments) and all(
            map(allows, arguments, value)
        )
    return all(allows(arguments[0], item) for item in value)


def _suggestion(value: Any, annotation: Any) -> str:
    """Return a question that suggests the option nearest to a text."""
    options = list(_options(annotation))
    texts = value if isinstance(value, list | tuple | Mapping) else [value]
    for text in texts:
        if isinstance(text, str) and text not in options:
            hint = nearest(text, options)
            return f".{hint}" if hint else ""
    return ""


def _options(annotation: Any) -> Iterator[str]:
    """List the texts that an annotation names."""
    for argument in typing.get_args(annotation):
        if isinstance(argument, str):
            yield argument
        else:
            yield from _options(argument)
