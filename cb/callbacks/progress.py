"""Prints the progress of a run; stops it if its loss is not finite."""

import math
import time
from collections.abc import Callable

import keras

from cb.callbacks.slots import steps_done
from cb.distribute import collectives
from cb.errors import RunError

PATIENCE_SECONDS = 5.0
SHOWN = ("accuracy", "loss")


class PlainProgress(keras.callbacks.Callback):
    """Prints progress as plain lines, for output to a file.

    Args:
        print_every: Integer, steps between lines.
        epochs: Integer, total epochs of the training.
        steps_per_epoch: Integer, optimizer steps.
        seconds_waited: Callable that returns how many seconds steps have
            waited for their input so far.
    """

    def __init__(
        self,
        print_every: int,
        epochs: int,
        steps_per_epoch: int,
        seconds_waited: Callable[[], float],
    ):
        super().__init__()
        self.print_every = print_every
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.seconds_waited = seconds_waited

    def on_train_begin(self, logs=None):
        self._step = steps_done(self.model)
        self._restart_clock()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        step = steps_done(self.model)
        if step == self._step:
            # Gradients of several batches are accumulated into a step.
            return
        self._steps += step - self._step
        self._step = step
        late = time.monotonic() - self._start > PATIENCE_SECONDS
        # The end of an epoch prints a line of its own.
        inside = step % self.steps_per_epoch
        if inside and (step % self.print_every == 0 or late):
            self._print(f"step {inside}/{self.steps_per_epoch}", logs)

    def on_test_begin(self, logs=None):
        self._timing = self._measured()

    def on_test_batch_end(self, batch, logs=None):
        if time.monotonic() - self._start > PATIENCE_SECONDS:
            print(f"  evaluating, batch {batch + 1}", flush=True)
            self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self._print("done", logs)

    def _print(self, where: str, logs: dict | None):
        numbers = [
            f"{name} {value:.4f}"
            for name, value in (logs or {}).items()
            if name.removeprefix("val_") in SHOWN
        ]
        epoch = f"epoch {self._epoch + 1}/{self.epochs}"
        timing = self._timing or self._measured()
        print("  ".join([epoch, where, *numbers, timing]), flush=True)
        self._restart_clock()

    def _measured(self) -> str:
        seconds = time.monotonic() - self._start
        waited = self.seconds_waited() - self._waited
        steps = max(self._steps, 1)
        return (
            f"{1e3 * seconds / steps:.1f} ms/step  "
            f"data {1e3 * waited / steps:.1f} ms"
        )

    def _restart_clock(self):
        # Set before an evaluation, whose time belongs to no step.
        self._timing = ""
        self._steps = 0
        self._start = time.monotonic()
        self._waited = self.seconds_waited()


class StopWhenNotFinite(keras.callbacks.Callback):
    """Stops a run when its loss is infinite or not a number.

    Raises:
        RunError: In `fit`, before anything is saved.
    """

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            step = steps_done(self.model)
            # All workers see the same loss.
            collectives.await_delivery(self.model.distribute_strategy)
            raise RunError(
                f"The loss is no longer finite at step {step}: {loss}. The "
                "last checkpoint is kept. A lower `--learning_rate` may help."
            )
