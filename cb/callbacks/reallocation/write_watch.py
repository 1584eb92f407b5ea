"""Notes who else assigns the variables of sparse kernels."""

import types
from collections.abc import Iterable

import keras
import tensorflow as tf


class WriteWatch:
    """Notes assignments to variables from outside of compiled functions.

    `set_weights`, `load_weights` and `assign` are seen at no cost to training
    steps, whose assignments are part of a graph. A later watch of the same
    variable replaces this one.

    Args:
        variables: Keras variables.
    """

    def __init__(self, variables: Iterable[keras.Variable]):
        self._written: set[int] = set()
        self._variables = [*variables]
        written = self._written

        def assign(variable, value):
            type(variable)._direct_assign(variable, value)
            if tf.executing_eagerly():
                written.add(id(variable))

        self._assign = assign
        self.renew()
        self.clear()

    def renew(self) -> None:
        """Take over from later watches, which may have seen assignments."""
        for variable in self._variables:
            there = vars(variable).get("_direct_assign")
            if getattr(there, "__func__", None) is not self._assign:
                # A method, so that copies of a variable are bound to
                # themselves.
                vars(variable)["_direct_assign"] = types.MethodType(
                    self._assign, variable
                )
                self._written.add(id(variable))

    def __contains__(self, variable: keras.Variable) -> bool:
        return id(variable) in self._written

    def __bool__(self) -> bool:
        return bool(self._written)

    def clear(self) -> None:
        """Forget what was noted."""
        self._written.clear()
