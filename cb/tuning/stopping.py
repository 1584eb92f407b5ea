"""Ends a sweep that is told to stop with the command that resumes it."""

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from collections.abc import Mapping

from cb.distribute.faults import handled
from cb.distribute.faults import leave_terminal
from cb.errors import Interrupted
from cb.errors import Preempted

# What makes a process the chief of keras-tuner's search, or a worker.
VARIABLES = (
    "KERASTUNER_ORACLE_IP",
    "KERASTUNER_ORACLE_PORT",
    "KERASTUNER_TUNER_ID",
)


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Name the command that resumes, after Ctrl-C, SIGTERM and SIGHUP.

    Raises:
        Interrupted: After Ctrl-C.
        Preempted: After one of the signals.
    """

    def stop(number, frame):
        leave_terminal()
        raise Preempted(f"Stopped by {signal.Signals(number).name}.")

    resume = f"Resume with: {same_command(os.environ)}"
    try:
        with handled(stop):
            yield
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted. {resume}") from None
    except Preempted as error:
        raise Preempted(f"{error} {resume}") from error


def same_command(environment: Mapping[str, str]) -> str:
    """Return the command of this process, for a shell.

    Args:
        environment: Dict of variable to value.
    """
    given = [f"{n}={environment[n]}" for n in VARIABLES if n in environment]
    words = ["env", *given] if given else []
    # `sys.argv` lacks the interpreter, and the first word of `cb tune`.
    return shlex.join([*words, *sys.orig_argv])
