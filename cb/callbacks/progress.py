"""Prints the progress of a run; stops it if its loss is not finite."""

import math
import statistics
import time
from collections.abc import Callable
from collections.abc import Mapping

import keras

from cb.callbacks.slots import steps_done
from cb.distribute import collectives
from cb.errors import RunError

PATIENCE_SECONDS, TERMINAL_SECONDS = 5.0, 1.0
# Columns of the table, by the column of the terminal in which they end.
COLUMNS = {
    "accuracy": 24,
    "loss": 32,
    "val_accuracy": 45,
    "val_loss": 54,
    "moved": 62,
    "time": 71,
    "input": 79,
}
LEGEND = (
    "moved: connections dropped or grown; time: of a step; input: waits for it"
)
# Goes to the line above, and empties it.
ABOVE = "\x1b[A\x1b[K"


class Progress(keras.callbacks.Callback):
    """Prints a table with a row for each epoch, and for steps inside of it.

    Args:
        print_every: Integer, steps between rows.
        epochs: Integer, total epochs of the training.
        steps_per_epoch: Integer, optimizer steps.
        seconds_waited: Callable from the number of a batch of this `fit`, and
            the `time.perf_counter()` when its step began, to the seconds
            that the step waited for it, or `None` if that is not known.
        terminal: Boolean, whether a row of steps is replaced by the next row.
    """

    def __init__(
        self,
        print_every: int,
        epochs: int,
        steps_per_epoch: int,
        seconds_waited: Callable[[int, float], float | None],
        terminal: bool = False,
    ):
        super().__init__()
        self.print_every = print_every
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.seconds_waited = seconds_waited
        self.terminal = terminal
        self._patience = TERMINAL_SECONDS if terminal else PATIENCE_SECONDS
        self._headed = self._passing = False

    def on_train_begin(self, logs=None):
        self._step = steps_done(self.model)
        self._batch = 0
        self._ended = self._printed = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self._restart_clock()

    def on_train_batch_begin(self, batch, logs=None):
        self._asked = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        waited = self.seconds_waited(self._batch, self._asked)
        if waited is not None:
            self._waits.append(waited)
        self._batch += 1
        self._ended = time.monotonic()
        step = steps_done(self.model)
        if step == self._step:
            # Gradients of several batches are accumulated into a step.
            return
        passed = step - self._step
        self._steps += passed
        self._step = step
        late = self._ended - self._printed > self._patience
        # The end of an epoch prints a row of its own.
        inside = step % self.steps_per_epoch
        if inside and (step % self.print_every < passed or late):
            place = f"  step {inside}/{self.steps_per_epoch}"
            self._print(place, logs, passing=True)

    def on_test_batch_end(self, batch, logs=None):
        if time.monotonic() - self._printed > self._patience:
            self._print(f"  evaluating, batch {batch + 1}", {}, passing=True)

    def on_epoch_end(self, epoch, logs=None):
        self._print(f"epoch {epoch + 1}/{self.epochs}", logs)

    def _print(self, place: str, logs: dict | None, passing: bool = False):
        if not self._headed:
            print(LEGEND, _row("", {name: name for name in COLUMNS}), sep="\n")
            self._headed = True
        cells = {}
        if logs:
            cells = _numbers(logs) | self._measured()
        # The row is the last line: a message may follow it.
        above = ABOVE if self._passing else ""
        print(above + _row(place, cells), flush=True)
        self._passing = passing and self.terminal
        self._printed = time.monotonic()
        if logs:
            self._restart_clock()

    def _measured(self) -> dict[str, str]:
        # Evaluations and checkpoints come after it: theirs is no step's time.
        seconds = self._ended - self._start
        cells = {"time": f"{1e3 * seconds / max(self._steps, 1):.1f} ms"}
        if self._waits:
            waited = statistics.mean(self._waits)
            cells["input"] = f"{1e3 * waited:.1f} ms"
        return cells

    def _restart_clock(self):
        self._steps = 0
        self._start = time.monotonic()
        self._waits: list[float] = []


def _row(place: str, cells: Mapping[str, str]) -> str:
    for name, end in COLUMNS.items():
        if name in cells:
            place += " " + cells[name].rjust(end - len(place) - 1)
    return place


def _numbers(logs: Mapping[str, float]) -> dict[str, str]:
    """Return the cells of a row, by column."""
    cells = {
        name: f"{value:.4f}" if abs(value) < 1000 else f"{value:.1e}"
        for name, value in logs.items()
        if name in COLUMNS
    }
    moved = [
        logs[name]
        for name in ("reallocation/dropped", "reallocation/grown")
        if name in logs
    ]
    return cells | {"moved": f"{max(moved):,.0f}"} if moved else cells


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
