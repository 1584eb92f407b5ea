"""What absl leaves to be mended before a command is pleasant to use."""

import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable
from collections.abc import Iterable
from types import ModuleType
from typing import NoReturn

from absl import flags

from cb.errors import InputError
from cb.errors import RunError
from cb.errors import refused_in_graph

INPUT_ERROR, RUN_ERROR, INTERRUPTED = 2, 1, 130
# What the machine refuses, not what the program does wrong.
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


def run(main: Callable[[], None], modules: Iterable[ModuleType]) -> None:
    """Parse the flags and call `main`; never show a traceback for bad input.

    Args:
        main: The command, without arguments.
        modules: The modules whose flags it has.

    Raises:
        SystemExit: Always; 0 after success and `--help`, 2 for bad input, 1
            for a run that cannot go on, 130 when interrupted.
    """
    # What TensorFlow cannot do raises; below that it also reports as errors
    # that there is no GPU, and options that an optimization left unused.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # It warns of every new graph, and attempts or lesions are such.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    arguments = [*_unquoted(sys.argv)]
    try:
        if _asks_for_help(arguments):
            print(_help(modules))
            sys.exit(0)
        words = flags.FLAGS(arguments)[1:]
        if words:
            raise InputError(
                "Flags must have the form `--name=value`. "
                f"Received: {' '.join(words)!r}"
            )
        main()
    except flags.Error as error:
        _stop(str(error).strip(), INPUT_ERROR)
    except InputError as error:
        _stop(str(error), INPUT_ERROR)
    except RunError as error:
        _stop(str(error), error.code)
    except KeyboardInterrupt:
        _stop("Interrupted. The same command goes on.", INTERRUPTED)
    except BrokenPipeError:
        # Whoever reads has gone; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(RUN_ERROR)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
            where = f" ({error.filename})" if error.filename else ""
            _stop(
                f"{error.strerror}{where}. Checkpoints written before are "
                "kept; the same command goes on from the last one.",
                RUN_ERROR,
            )
        if refused := refused_in_graph(error):
            _stop(refused, INPUT_ERROR)
        traceback.print_exc()
        _leave(RUN_ERROR)
    sys.exit(0)


def _stop(message: str, code: int) -> NoReturn:
    print(" ".join(message.split()), file=sys.stderr)
    _leave(code)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow's own clean-up would wait for workers, who wait for this one.
    os._exit(code)


def _asks_for_help(arguments: list[str]) -> bool:
    return any(
        argument in ("--help", "-help", "-h", "-?")
        for argument in arguments[1:]
    )


def _help(modules: Iterable[ModuleType]) -> str:
    text = (sys.modules["__main__"].__doc__ or "").strip()
    parts = [flags.FLAGS.module_help(module) for module in modules]
    return "\n".join([text, *parts])


def _unquoted(arguments: list[str]) -> Iterable[str]:
    """Read flagfiles, where quotes around a value are not part of it."""
    for argument in flags.FLAGS.read_flags_from_files(
        arguments, force_gnu=False
    ):
        name, separator, value = argument.partition("=")
        quoted = len(value) > 1 and value[0] == value[-1] in "\"'"
        if quoted and name.startswith("-"):
            value = value[1:-1]
        yield f"{name}{separator}{value}"
