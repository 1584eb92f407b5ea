"""What a command shows as one line instead of a traceback."""

import re

# As in sysexits.h: a service is unavailable, and a failure to be tried again.
WORKER_LOST, PREEMPTED = 69, 75


class InputError(ValueError):
    """A value from the user is wrong; the message is the whole story.

    The message says what is wrong, what was expected and what came.
    Commands print it and exit with code 2.
    """


class RunError(RuntimeError):
    """A run cannot go on (loss not finite, disk full); exit code 1."""

    code = 1


class WorkerLost(RunError):
    """Another worker of a training has gone or never came; exit code 69."""

    code = WORKER_LOST


class Preempted(RunError):
    """Told to stop, with everything saved; exit code 75."""

    code = PREEMPTED


def refused_in_graph(error: Exception) -> str | None:
    """Return what an assertion inside a TensorFlow graph says of the input.

    A graph cannot raise an `InputError`.

    Args:
        error: Exception that TensorFlow raised.

    Returns:
        String, one sentence of the form of an `InputError`; or `None`.
    """
    found = re.search(r"assertion failed: \[(Argument `[^\]]*)\]", str(error))
    return found and found[1]
