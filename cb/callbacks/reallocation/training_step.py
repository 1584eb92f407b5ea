"""The training step of a model, traced for what holds during a `fit`."""

import contextlib
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import keras
import tensorflow as tf

from cb.callbacks.reallocation.write_watch import WriteWatch
from cb.kernels.threads import has_numba

# Functions kept for one model: each is a trace of its whole training step.
MOST = 8
# What makes a step one of Keras's own, in which nothing else writes weights.
METHODS = ("train_step", "compute_loss", "make_train_function")


class Held(NamedTuple):
    """What holds in a training step, and changes how it is traced.

    Attributes:
        key: What the trace depends on, by identity or value.
        contexts: Callable that returns the contexts to trace in. Its argument
            is whether nobody else has written any variable of any `watch`.
        watch: `WriteWatch`, or `None`.
        required: Boolean, whether a step without it would be another.
    """

    key: Hashable
    contexts: Callable[[bool], Iterable[AbstractContextManager]]
    watch: WriteWatch | None = None
    required: bool = True


class TrainingStep:
    """Stands in for the training function of a model.

    A step for which nothing was said to hold is that of Keras, so that
    nothing needs to be undone, whatever ends a `fit`.

    Args:
        model: Compiled Keras model.
    """

    def __init__(self, model: keras.Model):
        self.usual = model.train_function
        self.next: list[Held] = []
        self._model = model
        self._traced: dict[Hashable, Callable] = {}

    def __call__(self, iterator):
        held, self.next = self.next, []
        if not held:
            return self.usual(iterator)
        # Callbacks whose turn came later may have written since.
        settled = not any(one.watch for one in held)
        key = (settled, *(one.key for one in held))
        if key not in self._traced:
            self._traced[key] = self._fresh()
        with contextlib.ExitStack() as stack:
            for one in held:
                for context in one.contexts(settled):
                    stack.enter_context(context)
            return self._traced[key](iterator)

    def _fresh(self) -> Callable:
        """Return a training function that is not yet traced."""
        if len(self._traced) == MOST:
            del self._traced[next(iter(self._traced))]
        self._model.make_train_function(force=True)
        made, self._model.train_function = self._model.train_function, self
        return made


def hold(model: keras.Model, held: Sequence[Held]) -> None:
    """Say what holds in the next training step of a model.

    Args:
        model: Compiled Keras model in a `fit`.
        held: List of `Held`; several callbacks add up.
    """
    model.make_train_function()
    step = model.train_function
    if not isinstance(step, TrainingStep):
        if not any(one.required for one in held) and not _of_keras(step):
            return
        step = model.train_function = TrainingStep(model)
    step.next += held


def forget(model: keras.Model) -> None:
    """Take back what was said of a step that a cut training never made.

    Args:
        model: Compiled Keras model, at the beginning of a `fit`.
    """
    if isinstance(model.train_function, TrainingStep):
        model.train_function.next = []


def is_usual(model: keras.Model) -> bool:
    """Return whether a model trains by a compiled step that is Keras's own."""
    function = model.train_function
    if isinstance(function, TrainingStep):
        function = function.usual
    return (
        not model.run_eagerly
        and _of_keras(function)
        and all(
            getattr(getattr(model, name), "__func__", None)
            is getattr(keras.Model, name)
            for name in METHODS
        )
    )


def takes_operations(model: keras.Model) -> bool:
    """Return whether a step of a model may have compiled operations in it.

    They are for graphs on processors, and have no second derivatives.
    """
    return (
        is_usual(model)
        and not model.jit_compile
        and has_numba()
        and not tf.config.list_logical_devices("GPU")
    )


def _of_keras(made) -> bool:
    return str(getattr(made, "__module__", "")).startswith("keras.")
