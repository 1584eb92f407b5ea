"""Values from text, checked against their annotations."""

import ast
import contextlib
import typing
from typing import Annotated
from typing import Any
from typing import Literal

from cb.registry import check

# As in absl.
BOOLEANS = {"true": True, "t": True, "1": True}
BOOLEANS |= {"false": False, "f": False, "0": False}


def converted(name: str, value: Any, annotation: Any) -> Any:
    """Convert a value, perhaps given as text, to the type of its annotation.

    Text becomes a boolean, a number or, at commas, a list, where the
    annotation allows one; an integer becomes a float where only that is
    allowed.

    Args:
        name: String, the field or flag, for the message.
        value: The value, from Python, YAML, JSON or a command line.
        annotation: As in `cb.registry.check`.

    Raises:
        InputError: If the annotation does not allow the value.

    Example:

    >>> converted("seeds", "1,2", list[int])
    [1, 2]
    """
    known = kinds(annotation)
    if isinstance(value, str):
        value = _from_text(value, known)
    check(name, value, annotation)
    if float in known and int not in known and type(value) is int:
        value = float(value)
    return value


def _from_text(text: str, known: dict[Any, tuple]) -> Any:
    if list in known:
        items = [part.strip() for part in text.split(",") if part.strip()]
        return [_from_text(item, kinds(*known[list])) for item in items]
    if bool in known:
        return BOOLEANS.get(text.lower(), text)
    if not known.keys().isdisjoint({int, float}):
        with contextlib.suppress(ValueError, SyntaxError):
            return ast.literal_eval(text)
    return text


def kinds(annotation: Any) -> dict[Any, tuple]:
    """Return the plain types of an annotation, with their arguments."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Annotated:
        return kinds(arguments[0])
    if origin in (None, list, Literal):
        return {origin or annotation: arguments}
    return {
        kind: inner
        for option in arguments
        for kind, inner in kinds(option).items()
    }
