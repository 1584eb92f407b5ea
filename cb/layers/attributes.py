"""Attributes that `cb` adds to Keras layers, some of them for a while only."""

import contextlib
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any
from typing import ClassVar

_MISSING = object()


class AddedArguments:
    """Mixin: records arguments in the config that the Keras class lacks.

    Attributes:
        added_arguments: Names of the arguments, each an attribute too.
    """

    added_arguments: ClassVar[tuple[str, ...]] = ()

    def added_config(self) -> dict[str, Any]:
        """Return the added arguments by name."""
        return {name: getattr(self, name) for name in self.added_arguments}

    def get_config(self):
        return {**super().get_config(), **self.added_config()}


@contextlib.contextmanager
def overridden(name: str, values: Iterable[tuple[Any, Any]]) -> Iterator[None]:
    """Set an attribute of Keras objects, and restore it at the end.

    Args:
        name: String, the attribute.
        values: Iterable of tuples of a layer or an optimizer and its value.
            One may occur more than once.
    """
    before = []
    # Written past Keras, which would track what is assigned.
    for owner, value in values:
        before.append((vars(owner), vars(owner).get(name, _MISSING)))
        vars(owner)[name] = value
    try:
        yield
    finally:
        for attributes, value in reversed(before):
            attributes[name] = value
            if value is _MISSING:
                del attributes[name]
