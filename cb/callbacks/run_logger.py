"""Logs the epochs and the reallocation events of a run."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from cb.callbacks.epoch_numbers import epoch_numbers
from cb.callbacks.reallocation.outcome import Change
from cb.callbacks.slots import steps_done
from cb.run_log import TEST
from cb.run_log import TRAIN
from cb.run_log import VALIDATION
from cb.run_log import RunLog

# What runs are compared by, beside their hyperparameters.
COMPARED = (
    (TEST, "accuracy"),
    (TRAIN, "density"),
    (TRAIN, "flops"),
    (VALIDATION, "accuracy"),
    (VALIDATION, "loss"),
)


class RunLogger(keras.callbacks.Callback):
    """Logs the metrics of every epoch and the changes of every event.

    Args:
        log: `RunLog`.
        updates_per_epoch: Integer, optimizer steps in an epoch.
        hyperparameters: Dict of name to value.
        train_evaluation: `tf.data.Dataset` of the training examples without
            augmentation, to be scored after every epoch, or `None`.
        input_shape: Tuple, shape of one example, to count what the model
            costs.
        test_evaluation: `tf.data.Dataset` of the test examples, to be scored
            after every epoch, or `None`.
        compared_by: Names of the hyperparameters that matter most.
        command: String, the command of the training.
    """

    def __init__(
        self,
        log: RunLog,
        updates_per_epoch: int,
        hyperparameters: Mapping[str, Any],
        train_evaluation: tf.data.Dataset | None = None,
        input_shape: tuple[int | None, ...] | None = None,
        test_evaluation: tf.data.Dataset | None = None,
        compared_by: Collection[str] = (),
        command: str = "",
    ):
        super().__init__()
        self.log = log
        self.updates_per_epoch = updates_per_epoch
        self.hyperparameters = hyperparameters
        self.compared_by = compared_by
        self.command = command
        self.evaluations = {
            "train_evaluation": train_evaluation,
            "test": test_evaluation,
        }
        self._numbers = epoch_numbers(input_shape)

    def log_event(
        self, step: int, changes: Sequence[Change], metrics: Mapping[str, float]
    ) -> None:
        """Log what a reallocation event changed, layer by layer.

        Args:
            step: Integer, the step that made it due.
            changes: Sequence of `Change`.
            metrics: Dict of name to number, the metrics of the algorithm.
        """
        numbers = dict(metrics)
        for change in changes:
            name = change.kernel.name
            numbers[f"dropped/{name}"] = float(change.dropped)
            numbers[f"grown/{name}"] = float(change.grown)
            # The end of an epoch logs densities itself.
            if step % self.updates_per_epoch:
                numbers[f"density/{name}"] = float(change.after.mean())
        self.log.scalars(step, numbers)

    def on_train_begin(self, logs=None):
        self.log.hyperparameters(
            self.hyperparameters,
            metrics=COMPARED,
            first=self.compared_by,
            command=self.command,
        )

    def on_epoch_end(self, epoch, logs=None):
        step = steps_done(self.model)
        parts: dict[str, dict[str, float]] = {TRAIN: {}, VALIDATION: {}}
        for name, value in (logs or {}).items():
            if name.startswith("reallocation/"):
                # Logged event by event, and by kernel.
                continue
            part = VALIDATION if name.startswith("val_") else TRAIN
            parts[part][name.removeprefix("val_")] = value
        for numbers in self._numbers:
            parts[TRAIN] |= numbers(self.model)
        for name, examples in self.evaluations.items():
            if examples is not None:
                parts[name] = self.model.evaluate(
                    examples, return_dict=True, verbose=0
                )
        for part, values in parts.items():
            if values:
                self.log.scalars(step, values, part)
