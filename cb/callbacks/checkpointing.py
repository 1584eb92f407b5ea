"""Saves the whole state of a training, and restores it."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cb.callbacks.slots import steps_done
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import read_all
from cb.callbacks.training_state import read_state
from cb.callbacks.training_state import write_metrics
from cb.callbacks.training_state import write_state
from cb.distribute import collectives
from cb.distribute.variables import average_replicas
from cb.errors import Preempted
from cb.errors import RunError
from cb.run_log import RunLog
from cb.runs.checkpoint import Checkpoint
from cb.runs.checkpoint import CheckpointFolder

FLOAT_BYTES = 4


class AverageStatistics(keras.callbacks.Callback):
    """Averages batch-norm statistics over the replicas.

    Each replica updates its own; their mean is evaluated and saved.
    """

    def on_test_begin(self, logs=None):
        average_replicas(self.model.non_trainable_variables)

    def on_epoch_end(self, epoch, logs=None):
        average_replicas(self.model.non_trainable_variables)


class Checkpointing(keras.callbacks.Callback):
    """Saves `initial`, `last`, `best` and numbered checkpoints.

    It must come after the callbacks whose state it saves.

    Args:
        folder: `CheckpointFolder`.
        callbacks: Dict of name to callback with `get_state`, `set_state`.
        log: `RunLog`; a resumed run continues it from here.
        steps_per_epoch: Integer.
        save_every: Integer, steps between saves of `last`.
        checkpoint_every: Integer, epochs between numbered checkpoints, 0 for
            none.
        monitor: String, name of the metric; `best` has its highest value.
        stop_requested: Callable that returns before every batch whether to
            save and stop.

    Raises:
        Preempted: In `fit`, after a requested stop, with everything saved.
        RunError: In `fit`, instead of saving weights that are not finite.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        callbacks: dict[str, Any],
        log: RunLog,
        steps_per_epoch: int,
        save_every: int,
        checkpoint_every: int = 0,
        monitor: str = "val_accuracy",
        stop_requested: Callable[[], bool] = lambda: False,
    ):
        super().__init__()
        self.folder = folder
        self.stop_requested = stop_requested
        self.callbacks = callbacks
        self.log = log
        self.steps_per_epoch = steps_per_epoch
        self.save_every = save_every
        self.checkpoint_every = checkpoint_every
        self.monitor = monitor
        self.best: float | None = None
        self._inside: Checkpoint | None = None
        self._first_batch = 0
        self._epoch = 0

    def save_initial(self) -> None:
        """Save the untrained model, inactive weights included."""
        arrays = read_all(model_variables(self.model))
        meta = {"step": 0, "epoch": 0, "batch": 0}
        self.folder.save("initial", Checkpoint(arrays, meta))

    def restore(self, checkpoint: Checkpoint) -> tuple[int, int]:
        """Restore a state.

        Args:
            checkpoint: `Checkpoint` of this run.

        Returns:
            Tuple of completed epochs and completed batches of the next one.
        """
        write_state(self.model, self.callbacks, checkpoint.arrays)
        self.best = checkpoint.meta["best"]
        epoch, batch = checkpoint.meta["epoch"], checkpoint.meta["batch"]
        self._inside = checkpoint if batch else None
        self._first_batch = batch
        return epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self._inside is not None:
            # `fit` has reset the metrics before this call.
            write_metrics(self.model, self._inside.arrays)
            self._inside = None

    def on_train_batch_begin(self, batch, logs=None):
        done = self._first_batch + batch
        steps = self._epoch * self.steps_per_epoch + done
        stop = self.stop_requested()
        # Several steps may have passed since the last call.
        crossed = steps % self.save_every < self.model.steps_per_execution
        if stop or (batch > 0 and crossed):
            self._save("last", self._epoch, done)
        if stop:
            # No worker reports the checkpoint before the chief has written it.
            collectives.barrier(self.model.distribute_strategy)
            raise Preempted(
                f"Stopped by SIGTERM or SIGHUP in epoch {self._epoch + 1} "
                f"after batch {done}, with a checkpoint written. Run the same "
                "command again to resume."
            )

    def on_epoch_end(self, epoch, logs=None):
        self._first_batch = 0
        completed = epoch + 1
        value = (logs or {}).get(self.monitor)
        better = value is not None and (self.best is None or value > self.best)
        if better:
            self.best = float(value)
            self._save("best", completed)
        if self.checkpoint_every and completed % self.checkpoint_every == 0:
            self._save(completed, completed)
        steps = completed * self.steps_per_epoch
        last = completed == self.params["epochs"]
        if last or steps % self.save_every < self.steps_per_epoch:
            self._save("last", completed)

    def _save(self, name, epoch: int, batch: int = 0):
        arrays = read_state(self.model, self.callbacks, batch > 0)
        step = steps_done(self.model)
        if not _finite(arrays):
            collectives.await_delivery(self.model.distribute_strategy)
            raise RunError(
                f"Weights are no longer finite at step {step}. The last "
                "checkpoint is kept. A lower `--learning_rate` may help."
            )
        meta = {"step": step, "epoch": epoch, "batch": batch, "best": self.best}
        meta |= self.log.position()
        self.folder.save(name, Checkpoint(arrays, meta))


def _finite(arrays) -> bool:
    """Return whether a training can continue from a state.

    The loss of a step is computed before its update, so it shows a failed
    update only one step later.
    """
    return all(
        np.isfinite(array).all()
        for name, array in arrays.items()
        if name.startswith("model/") and array.dtype.kind == "f"
    )


def estimate_bytes(model: keras.Model) -> int:
    """Estimate the size in bytes of a checkpoint of a compiled model."""
    variables = [*model.variables, *model.optimizer.variables]
    return sum(math.prod(v.shape) for v in variables) * FLOAT_BYTES
