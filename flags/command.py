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
from cb.errors import require_tensorflow
from cb.registry.annotations import nearest

from .flagfile import expanded
from .help import help_text

HELP = {"--help", "-help", "-h", "-?"}
FULL_HELP = {"--helpfull", "-helpfull"}
VERSION = {"--version", "-version"}


def run(
    main: Callable[[], None], modules: Iterable[ModuleType], about: str | None
) -> None:
    """Parse the flags and call `main`; never show a traceback for bad input.

    Args:
        main: The command, without arguments.
        modules: The modules whose flags it has.
        about: String, the text before them in `--help`.

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
        try:
            text = _parse(sys.argv, modules, about or "")
        except flags.Error as error:
            raise InputError(_reason(error)) from error
        if text is None:
            _check_environment()
            main()
        else:
            print(text)

    guarded(parsed)


def _check_environment() -> None:
    """Refuse variables of Keras that would make another run of a command."""
    # Keras could not even be imported where a backend is missing.
    require_tensorflow(os.environ.get("KERAS_BACKEND"))
    # Else that of the user's keras.json.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        if name in os.environ:
            raise InputError(
                f"{name} must not be set: it would end a training early "
                f"without a word. Received: {name}={os.environ[name]!r}"
            )


def _parse(
    words: list[str], modules: Iterable[ModuleType], about: str
) -> str | None:
    """Parse the flags, or return the text to be shown instead."""
    arguments = [*_unquoted(words)]
    asked = set(arguments[1:])
    if asked & (HELP | FULL_HELP):
        return help_text(about, modules, full=bool(asked & FULL_HELP))
    if asked & VERSION:
        return f"cb {__version__}"
    if strays := flags.FLAGS(arguments)[1:]:
        raise InputError(
            "Flags must have the form `--name=value`. "
            f"Received: {' '.join(strays)!r}"
        )
    return None


def _reason(error: flags.Error) -> str:
    if isinstance(error, flags.UnrecognizedFlagError):
        question = nearest(error.flagname, flags.FLAGS)
        return f"Unknown flag `--{error.flagname}`.{question}"
    if isinstance(error.__context__, InputError):
        # A check of ours, whose message names the flag already.
        return str(error.__context__)
    return str(error).removeprefix("ERROR:: ")


def _unquoted(arguments: list[str]) -> Iterable[str]:
    """Expand flagfiles; quotes around a value there are not part of it."""
    for argument in arguments[:1] + expanded(arguments[1:]):
        name, separator, value = argument.partition("=")
        quoted = len(value) > 1 and value[0] == value[-1] in "\"'"
        if quoted and name.startswith("-"):
            value = value[1:-1]
        yield f"{name}{separator}{value}"
