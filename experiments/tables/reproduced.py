"""Results of published experiments that were run here, one line each."""

from typing import NamedTuple


class Result(NamedTuple):
    """The result printed by `make experiment NAME=...`.

    Attributes:
        accuracy: Float, test accuracy in percent.
        how: String, when and on what, and how long it took.
    """

    accuracy: float
    how: str


RESULTS: dict[str, Result] = {}
