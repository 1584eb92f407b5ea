"""Flagfiles: flags in text files, which a command line overrides."""

import os
import pathlib
from collections.abc import Sequence

from absl import flags

from cb.errors import InputError
from cb.errors import argument_error
from cb.files.documents import read_text

FLAGFILE = ("--flagfile", "-flagfile")


def expanded(
    words: Sequence[str],
    place: str = "the command line",
    files: tuple[pathlib.Path, ...] = (),
) -> list[str]:
    """Put the flags of flagfiles before those that override them.

    Args:
        words: Flags, `--flagfile=FILE` among them, anywhere.
        place: String, where they are given.
        files: Paths of the files that they are read from, outermost first;
            another file is looked for beside the last.

    Returns:
        List of words without `--flagfile`.

    Raises:
        InputError: If a file cannot be read or includes itself, or the flag
            of a list is given twice in the same place.
    """
    own: list[str] = []
    included: list[str] = []
    waiting = iter(words)
    for word in waiting:
        name, separator, value = word.partition("=")
        if name in FLAGFILE:
            file = value if separator else next(waiting, "")
            included += _read(file.strip(), files)
        else:
            own.append(word)
    _check_lists(own, place)
    return [*_not_overridden(included, own), *own]


def _read(name: str, files: tuple[pathlib.Path, ...]) -> list[str]:
    folder = files[-1].parent if files else pathlib.Path()
    path = folder / os.path.expanduser(name)
    if not name or path.absolute() in files:
        expected = "a text file of flags that does not include itself"
        raise argument_error("flagfile", expected, name)
    text = read_text(path, "Argument `flagfile`")
    lines = [line.strip() for line in text.splitlines()]
    words = [line for line in lines if line and line[:1] != "#"]
    words = [word for word in words if word[:2] != "//"]
    return expanded(words, repr(str(path)), (*files, path.absolute()))


def _names(words: Sequence[str]) -> list[str]:
    found = [word.partition("=")[0] for word in words if word[:1] == "-"]
    return [name.lstrip("-") for name in found]


def _check_lists(words: Sequence[str], place: str) -> None:
    names = _names(words)
    for name in names:
        parser = flags.FLAGS[name].parser if name in flags.FLAGS else None
        if getattr(parser, "is_list", False) and names.count(name) > 1:
            raise InputError(
                f"Argument `{name}` must be given once, with commas between "
                f"its items. Received: --{name} {names.count(name)} times in "
                f"{place}"
            )


def _not_overridden(included: list[str], own: Sequence[str]) -> list[str]:
    """Leave out each `--set` of a flag that is given where it overrides."""
    names = _names(own)
    given = {*names, *(name.removeprefix("no") for name in names)}
    return [
        word
        for word in included
        if not word.lstrip("-").startswith("set=")
        or word.partition("=")[2].strip("\"'").split("=")[0].split(".")[0]
        not in given
    ]
