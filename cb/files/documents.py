"""YAML and JSON that people write, read strictly."""

import json
import os
import pathlib
import re
from typing import Any

import yaml

from cb.errors import InputError
from cb.errors import one_line

_TEXT = "tag:yaml.org,2002:str"
_INTEGER = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_DATE = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"
_DIGITS = "[0-9]+(?:_[0-9]+)*"


class _Loader(yaml.SafeLoader):
    """YAML whose numbers are those of JSON and Python, and whose keys differ.

    YAML 1.1 reads `1e-3` as text, `010` as 8, `12:30` as 750, and dates.
    """

    yaml_implicit_resolvers = {
        first: [one for one in known if one[0] not in (_INTEGER, _FLOAT, _DATE)]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key_node, _ in node.value:
            scalar = isinstance(key_node, yaml.ScalarNode)
            if not scalar or key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node)
            if key in keys:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key!r} is given twice",
                    problem_mark=key_node.start_mark,
                )
            keys.add(key)
        return super().construct_mapping(node, deep)

    def construct_text(self, node):
        # Python's JSON escapes a letter beyond U+FFFF as two surrogates.
        text = self.construct_scalar(node).encode("utf-16", "surrogatepass")
        return text.decode("utf-16", "surrogatepass")

    def construct_integer(self, node):
        text = self.construct_scalar(node)
        return int(text, 0 if text.lstrip("+-")[1:2].isalpha() else 10)


_Loader.add_implicit_resolver(
    _INTEGER,
    re.compile(rf"[-+]?(0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+|{_DIGITS})$"),
    "+-0123456789",
)
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        rf"[-+]?({_DIGITS}\.({_DIGITS})?|\.{_DIGITS}|{_DIGITS}(?=[eE]))"
        r"([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
    ),
    "+-.0123456789",
)
_Loader.add_constructor(_TEXT, _Loader.construct_text)
_Loader.add_constructor(_INTEGER, _Loader.construct_integer)


def read_text(file: str | os.PathLike[str], what: str) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Args:
        file: Path; `~` is the user's home.
        what: String, what the file is, to begin a message with.

    Raises:
        InputError: If there is no such file, or it is not UTF-8.
    """
    try:
        content = pathlib.Path(os.path.expanduser(file)).read_bytes()
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{what} must be text in UTF-8. Received: {str(file)!r}, with "
            f"byte {content[error.start]:#x} in line {line}"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{what} cannot be read: {str(file)!r} ({reason})"
        ) from error


def parse(text: str, what: str) -> Any:
    """Read a document of JSON, or else of YAML.

    Args:
        text: String.
        what: String, what the document is, to begin a message with.

    Returns:
        What it holds: dicts, lists, text, numbers, booleans and `None`.

    Raises:
        InputError: If it is neither, or a mapping has a key twice. The
            message names the line.
    """
    try:
        return _parse(text, what)
    except RecursionError:
        raise InputError(f"{what} is nested too deeply.") from None


def _parse(text: str, what: str) -> Any:
    in_json = None
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        if re.match(r'\s*\{\s*"', text):
            in_json = error
    except ValueError:
        # YAML knows the line, but tabs only inside of text.
        text = text.replace("\t", " ")
    try:
        return yaml.load(text, _Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        line = mark.line + 1
        reason = ", ".join(filter(None, [error.context, error.problem]))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reason = f"character U+{error.character:04X} is not allowed"
    except ValueError as error:
        raise InputError(f"{what} is not valid: {one_line(error)}") from error
    if in_json is not None:
        line, reason = in_json.lineno, in_json.msg
    kind = "YAML" if in_json is None else "JSON"
    raise InputError(f"{what} is not valid {kind}: line {line}: {reason}")


def line_of(text: str, *keys: str) -> int | None:
    """Return the line, from 1, of a key in a document that `parse` has read.

    Args:
        text: String.
        *keys: Keys that lead to the key from outside, and the key.
    """
    try:
        node: Any = yaml.compose(text.replace("\t", " "), _Loader)
    except yaml.YAMLError:
        return None
    line = None
    for key in keys:
        for key_node, value_node in node.value:
            if key_node.value == key:
                line, node = key_node.start_mark.line + 1, value_node
    return line


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found
