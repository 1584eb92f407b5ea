"""What a command shows as one line instead of a traceback."""

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
