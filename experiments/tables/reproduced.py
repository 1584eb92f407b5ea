"""What published experiments gave here: one line for each that was run."""

from typing import NamedTuple


class Result(NamedTuple):
    """What `make experiment NAME=...` printed.

    Attributes:
        accuracy: Float, test accuracy in percent.
        how: String, when and on what, and how long it took.
    """

    accuracy: float
    how: str


RESULTS: dict[str, Result] = {}
