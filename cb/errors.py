"""Errors that a command shows as one line, and the exit codes of commands."""

import errno
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

RUN_ERROR, INPUT_ERROR, INTERRUPTED = 1, 2, 130
# As in sysexits.h: a service is unavailable, and a failure to be tried again.
WORKER_LOST, PREEMPTED = 69, 75
# Packages to install for what not everybody does, by modules of theirs.
_DATA = "tensorflow-datasets importlib_resources pyarrow"
_PLOTS = "matplotlib plotly"
_SWEEPS = f"keras-tuner optuna moocore {_PLOTS}"
_MLFLOW = "mlflow-skinny alembic sqlalchemy"
OPTIONAL = {
    "keras_tuner": _SWEEPS,
    "matplotlib": _PLOTS,
    "mlflow": _MLFLOW,
    "moocore": _SWEEPS,
    "optuna": _SWEEPS,
    "plotly": _PLOTS,
    "pyarrow": _DATA,
    "tensorflow_datasets": _DATA,
    "trackio": "trackio",
    "wandb": "wandb",
}
# Refusals of the machine rather than faults of the program.
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


class InputError(ValueError):
    """A value from the user is wrong; the message is the whole story.

    The message says what is wrong, what was expected and what was received.
    Commands print it and exit with this code.
    """

    code = INPUT_ERROR


class RunError(RuntimeError):
    """A run cannot continue: the loss is not finite, or the disk is full."""

    code = RUN_ERROR


class NotReached(UserWarning):
    """Something that was asked for did not happen in a training."""


class WorkerLost(RunError):
    """Another worker of a training has exited or never appeared."""

    code = WORKER_LOST


class Locked(RunError):
    """Another process is at work in a folder."""


class Interrupted(RunError):
    """The user has interrupted a run."""

    code = INTERRUPTED


class Preempted(RunError):
    """The run was told to stop, and has saved everything."""

    code = PREEMPTED


def argument_error(
    name: str, expected: str, value: object, /, **others: object
) -> InputError:
    """Return the error for an argument whose value is not as expected.

    Args:
        name: String, the argument.
        expected: String, to follow "must be".
        value: The value received.
        **others: Other arguments on which it depends, with their values.

    Returns:
        `InputError`, to be raised.

    Example:

    >>> raise argument_error("sparsity", "in [0, 1)", 1.2)
    """
    received = [f"{key}={it!r}" for key, it in {name: value, **others}.items()]
    return InputError(
        f"Argument `{name}` must be {expected}. Received: {', '.join(received)}"
    )


def one_line(error: BaseException, length: int | None = 200) -> str:
    """Return the message of a library's error for a line of ours.

    Args:
        error: Exception.
        length: Integer, the largest number of characters, or `None`.

    Returns:
        String without line breaks and formatting for terminals; it ends in
        dots where it was cut.
    """
    # Keras writes some of its messages in bold.
    text = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
    if length is None or len(text) <= length:
        return text
    return f"{text[: length - 3]}..."


def first_cause(error: BaseException) -> BaseException:
    """Return the error that others were raised for, as Keras does in calls."""
    before = error.__cause__ or error.__context__
    return error if before is None else first_cause(before)


def refused_in_graph(error: Exception) -> str | None:
    """Return the message of an assertion about the input in a graph.

    A TensorFlow graph cannot raise an `InputError`.

    Args:
        error: Exception that TensorFlow raised.

    Returns:
        String, one sentence of the form of an `InputError`; or `None`.
    """
    found = re.search(r"assertion failed: \[(Argument `[^\]]*)\]", str(error))
    return found and found[1]


def machine_error(error: BaseException) -> OSError | None:
    """Return the refusal of the machine that an error reports, if any.

    TensorFlow has a full disk in its message alone.

    Args:
        error: Exception.
    """
    if isinstance(error, OSError):
        return error if error.errno in MACHINE_ERRORS else None
    for number in (errno.ENOSPC, errno.EDQUOT):
        if os.strerror(number) in str(error):
            return OSError(number, os.strerror(number))
    return None


def require_tensorflow(backend: str | None) -> None:
    """Raise `InputError` unless Keras runs on TensorFlow.

    Args:
        backend: String, the backend of Keras, or `None` if it is not known.
    """
    if backend not in (None, "", "tensorflow"):
        raise InputError(
            "`cb` needs Keras on TensorFlow. Expected KERAS_BACKEND="
            "tensorflow in the environment, or that backend in "
            f"~/.keras/keras.json. Received: backend={backend!r}"
        )


def missing_package(error: ImportError) -> str | None:
    """Say what to install where a package is missing that is optional.

    Args:
        error: `ImportError`.

    Returns:
        String, one sentence; `None` if another import failed.
    """
    module = (error.name or "").partition(".")[0]
    if module not in OPTIONAL:
        return None
    return (
        f"This needs a package that cannot be imported: `pip install "
        f"{OPTIONAL[module]}`. Received: {one_line(error)}"
    )


def guarded(main: Callable[[], None]) -> NoReturn:
    """Call a command and exit; show errors that users cause as one line.

    Args:
        main: The command, without arguments.

    Raises:
        SystemExit: Always; 0 after success, else one of the codes above.
    """
    _open_streams()
    try:
        main()
    except (InputError, RunError) as error:
        _stop(str(error), error.code)
    except KeyboardInterrupt:
        _stop("Interrupted. Run the same command again to resume.", INTERRUPTED)
    except BrokenPipeError:
        # The reader has exited; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(RUN_ERROR)
    except Exception as error:
        if (refusal := machine_error(error)) is not None:
            where = f" ({refusal.filename})" if refusal.filename else ""
            _stop(
                f"{refusal.strerror}{where}. What was written before is kept: "
                "once this is mended, run the same command again.",
                RUN_ERROR,
            )
        missing = isinstance(error, ImportError) and missing_package(error)
        if refused := missing or refused_in_graph(error):
            _stop(refused, INPUT_ERROR)
        traceback.print_exc()
        _leave(RUN_ERROR)
    sys.exit(0)


def _open_streams() -> None:
    """Let a command print wherever it is started from.

    A closed stream, as of a daemon, is one that discards everything: its
    number would else be that of the next file. A letter that the encoding of
    the output does not have is printed as its escape.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # Takes the lowest number that is free.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        stream = getattr(sys, name)
        if stream is None:
            stream = open(number, "w" if number else "r", encoding="utf-8")
            setattr(sys, name, stream)
        if number and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _stop(message: str, code: int) -> NoReturn:
    # A path or a command keeps its spaces.
    print(re.sub(r"\s*\n\s*", " ", message.strip()), file=sys.stderr)
    _leave(code)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow's own clean-up would wait for workers, which wait for this
    # process.
    os._exit(code)
