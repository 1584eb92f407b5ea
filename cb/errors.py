"""Errors that a command shows as one line, and the exit codes of commands."""

import re

RUN_ERROR, INPUT_ERROR, INTERRUPTED = 1, 2, 130
# As in sysexits.h: a service is unavailable, and a failure to be tried again.
WORKER_LOST, PREEMPTED = 69, 75


class InputError(ValueError):
    """A value from the user is wrong; the message is the whole story.

    The message says what is wrong, what was expected and what was received.
    Commands print it and exit with this code.
    """

    code = INPUT_ERROR


class RunError(RuntimeError):
    """A run cannot continue: the loss is not finite, or the disk is full."""

    code = RUN_ERROR


class WorkerLost(RunError):
    """Another worker of a training has exited or never appeared."""

    code = WORKER_LOST


class Preempted(RunError):
    """The run was told to stop, and has saved everything."""

    code = PREEMPTED


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
