"""What a command shows as one line instead of a traceback."""


class InputError(ValueError):
    """A value from the user is wrong; the message is the whole story.

    The message says what is wrong, what was expected and what came.
    Commands print it and exit with code 2.
    """


class RunError(RuntimeError):
    """A run cannot go on (loss not finite, disk full); exit code 1."""
