"""Numbers of examples in a call, as users give them."""

import numbers
from collections.abc import Sequence

from cb.errors import argument_error


def check_batch_sizes(batch_sizes: Sequence[int]) -> None:
    """Raise `InputError` unless there are sizes, all positive integers."""
    good = isinstance(batch_sizes, Sequence) and len(batch_sizes) > 0
    if not good or not all(map(_is_size, batch_sizes)):
        expected = "a list of positive integers"
        raise argument_error("batch_sizes", expected, batch_sizes)


def _is_size(size: object) -> bool:
    if isinstance(size, bool):
        return False
    return isinstance(size, numbers.Integral) and int(size) >= 1
