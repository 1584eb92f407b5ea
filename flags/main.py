"""The command `cb`, whose first word names what it does."""

import importlib
import sys

from cb import __version__
from cb.errors import InputError
from cb.errors import guarded
from cb.registry.annotations import nearest

from . import command

# Commands with flags, in `flags/commands/`, and programs of the package.
OF_FLAGS = ("train", "evaluate", "tune")
PROGRAMS = ("plots", "launch")
USAGE = """\
usage: cb COMMAND [FLAGS]

cb train      trains a sparse model, without flags one of embedded digits
cb evaluate   scores, measures and exports what was trained
cb tune       searches hyperparameters
cb plots      draws runs side by side
cb launch     starts a training in several processes, to try several machines

cb COMMAND --help lists the flags of each; cb --version."""


def run(name: str) -> None:
    """Run a command of `flags/commands/` with the flags of the process.

    Args:
        name: String, that of its file.

    Raises:
        SystemExit: Always.
    """
    module = importlib.import_module(f".commands.{name}", __package__)
    command.run(module.main, module.FLAGS, module.__doc__)


def main() -> None:
    """Run the command that the first word of the command line names.

    Raises:
        SystemExit: Always.
    """
    name = sys.argv[1] if sys.argv[1:] else "--help"
    del sys.argv[1:2]
    if name in OF_FLAGS:
        run(name)
    if name in PROGRAMS:
        module = importlib.import_module(f"cb.{name}.__main__")
        guarded(lambda: sys.exit(module.main(sys.argv[1:])))
    guarded(lambda: print(_answer(name)))


def _answer(word: str) -> str:
    """Return the text that a first word asks for which is no command."""
    if word in command.HELP | command.FULL_HELP:
        return USAGE
    if word in command.VERSION:
        return f"cb {__version__}"
    names = (*OF_FLAGS, *PROGRAMS)
    raise InputError(
        f"Unknown command.{nearest(word, names)} Expected one of "
        f"{', '.join(names)}. Received: {word!r}"
    )
