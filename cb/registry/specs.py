"""Specs: a part's name with literal arguments, as text."""

import ast
import dataclasses
import re
from typing import Any

from cb.errors import InputError

# Names that are not identifiers: paths of Python files that register a part,
# and names with hyphens, which no part has, so that the nearest is suggested.
_NAME = re.compile(r"(.+\.py|[A-Za-z]\w*(?:-\w+)+)\s*(\(.*\))?", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Spec:
    """A part's name, or its file, with the literal arguments given to it."""

    name: str
    args: tuple = ()
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        values = [repr(value) for value in self.args]
        values += [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.name}({', '.join(values)})" if values else self.name

    def changed(self, path: str, value: Any) -> "Spec":
        """Return the spec with another value of one keyword.

        Args:
            path: String, the keyword, or `"keyword.2"` for one place of the
                sequence that it has.
            value: A literal.

        Returns:
            A `Spec`.

        Raises:
            InputError: If the keyword has no such place.
        """
        keyword, _, place = path.partition(".")
        if place:
            known = self.kwargs.get(keyword)
            places = len(known) if isinstance(known, tuple | list) else 0
            if not (place.isdecimal() and int(place) < places):
                raise InputError(
                    f"Keyword `{keyword}` must have a value in place {place}, "
                    f"from 0 on. Received: {self}"
                )
            items = list(self.kwargs[keyword])
            items[int(place)] = value
            value = tuple(items)
        kwargs = {**self.kwargs, keyword: value}
        return Spec(self.name, self.args, kwargs)


def parse_spec(text: str | Spec) -> Spec:
    """Read `name` or `name(key=literal, ...)`.

    Args:
        text: String such as `"rigl(drop_fraction=0.3, every=100)"`, or with
            the path of a Python file instead of the name, as in
            `"my/model.py(width=3)"`; a `Spec` is returned as it is.

    Returns:
        A `Spec`.

    Raises:
        InputError: If the text is not a name with literal arguments.
    """
    if isinstance(text, Spec):
        return text
    expected = "Expected `name` or `name(key=value, ...)` with literal values."
    call = str(text).strip()
    named = _NAME.fullmatch(call)
    if named is not None:
        call = f"name{named[2] or ''}"
    try:
        node = ast.parse(call, mode="eval").body
        if isinstance(node, ast.Name):
            return Spec(named[1] if named else node.id)
        if isinstance(node, ast.Constant) and node.value is None:
            return Spec("none")
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            raise ValueError
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError
        args = tuple(ast.literal_eval(value) for value in node.args)
        kwargs = {
            str(keyword.arg): ast.literal_eval(keyword.value)
            for keyword in node.keywords
        }
    except (ValueError, SyntaxError, TypeError, RecursionError):
        message = f"Malformed spec. {expected} Received: {text!r}"
        raise InputError(message) from None
    return Spec(named[1] if named else node.func.id, args, kwargs)
