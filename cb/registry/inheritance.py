"""Signatures and docstrings that list the options of base classes too."""

import inspect
import re
from typing import Any

from cb.registry.arguments import accepted
from cb.registry.arguments import takes_keywords

_HEADER = re.compile(r"^[A-Z][A-Za-z ]*:$", re.MULTILINE)
_SECTION = re.compile(r"^Args:\n(?:(?:    .*)?(?:\n|$))+", re.MULTILINE)
_ENTRY = re.compile(r"^    (\*{0,2}\w+): .*(?:\n        .*)*", re.MULTILINE)


def list_inherited(part: Any) -> None:
    """Complete the signature and the docstring of a class from its bases.

    The signature gets the parameters that `**kwargs` hand to the base class;
    the section `Args` an entry for every parameter that only a base class
    describes.

    Args:
        part: Class, changed in place; anything else is left alone.
    """
    if not isinstance(part, type):
        return
    parameters = accepted(part)
    if takes_keywords(vars(part).get("__init__", part)):
        signature = inspect.Signature([*parameters.values()])
        setattr(part, "__signature__", signature)  # noqa: B010
    if part.__doc__:
        part.__doc__ = _completed(part, list(parameters))


def list_described(part: type) -> dict[str, str]:
    """Return the entries of the section `Args` of a class and of its bases.

    Args:
        part: Class; what it says about a parameter replaces what a base says.

    Returns:
        Dict of the name of a parameter to its entry.
    """
    entries = {}
    for kind in reversed(part.__mro__):
        # Not those of the wrong section, such as `Attributes`.
        described = inspect.cleandoc(vars(kind).get("__doc__") or "")
        section = _SECTION.search(described)
        for entry in _ENTRY.finditer(section[0] if section else ""):
            entries[entry[1]] = entry[0]
    return entries


def _completed(part: type, names: list[str]) -> str:
    text = inspect.cleandoc(part.__doc__ or "")
    entries = list_described(part)
    found = [entries[name] for name in names if name in entries]
    if not found:
        return text
    section = _SECTION.search(text)
    if section is not None:
        start, end = section.span()
    else:
        header = _HEADER.search(text)
        start = end = header.start() if header else len(text)
    before, after = text[:start].rstrip(), text[end:].lstrip("\n")
    args = "\n".join(["Args:", *found])
    return "\n\n".join(filter(None, [before, args, after])) + "\n"
