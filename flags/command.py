"""Runs a command: flags, `--help`, errors as one line, exit codes."""

import logging
import os
import sys
from collections.abc import Callable
from collections.abc import Iterable
from types import ModuleType

from absl import flags

from cb import __version__
from cb.errors import InputError
from cb.errors import guarded
from cb.registry.annotations import nearest
from flags.help import help_text

HELP = {"--help", "-help", "-h", "-?"}
FULL_HELP = {"--helpfull", "-helpfull"}
VERSION = {"--version", "-version"}


def run(main: Callable[[], None], modules: Iterable[ModuleType]) -> None:
    """Parse the flags and call `main`; never show a traceback for bad input.

    Args:
        main: The command, without arguments.
        modules: The modules whose flags it has.

    Raises:
        SystemExit: Always; 0 after success, `--help` and `--version`, else
            one of the codes in `cb.errors`.
    """
    # TensorFlow raises where it fails; below this level it also reports as
    # errors a missing GPU and options that an optimization left unused.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # It warns of every new graph; attempts and lesions each build one.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)

    def parsed() -> None:
        arguments = [*_unquoted(sys.argv)]
        asked = set(arguments[1:])
        if asked & (HELP | FULL_HELP):
            print(help_text(modules, full=bool(asked & FULL_HELP)))
        elif asked & VERSION:
            print(f"cb {__version__}")
        else:
            _parse(arguments)
            main()

    guarded(parsed)


def _parse(arguments: list[str]) -> None:
    """Parse the flags, or raise `InputError`."""
    try:
        words = flags.FLAGS(arguments)[1:]
    except flags.UnrecognizedFlagError as error:
        question = nearest(error.flagname, flags.FLAGS)
        raise InputError(
            f"Unknown flag `--{error.flagname}`.{question}"
        ) from error
    except flags.IllegalFlagValueError as error:
        # The message of a check of ours names the flag already.
        checked = error.__context__
        raise InputError(
            str(checked if isinstance(checked, InputError) else error)
        ) from error
    except flags.Error as error:
        raise InputError(str(error).strip()) from error
    if words:
        raise InputError(
            "Flags must have the form `--name=value`. "
            f"Received: {' '.join(words)!r}"
        )


def _unquoted(arguments: list[str]) -> Iterable[str]:
    """Expand flagfiles; quotes around a value there are not part of it."""
    for argument in flags.FLAGS.read_flags_from_files(
        arguments, force_gnu=False
    ):
        name, separator, value = argument.partition("=")
        quoted = len(value) > 1 and value[0] == value[-1] in "\"'"
        if quoted and name.startswith("-"):
            value = value[1:-1]
        yield f"{name}{separator}{value}"
