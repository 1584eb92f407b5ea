"""Writes the numbers of a run to `metrics.csv` and to TensorBoard."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.plugins.hparams import api as hparams
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from cb.callbacks.reallocation.callback import Change
from cb.costs import Costs
from cb.costs import Counter
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.layers.sparse_dense import SparseDense
from cb.runs.directory import RunDirectory
from cb.runs.metrics_csv import METRICS_HEADER
from cb.runs.metrics_csv import LongCsv

TRAIN, VALIDATION = "train", "validation"


class RunLogger(keras.callbacks.Callback):
    """The one writer of a run's numbers.

    Rows of `metrics.csv` hold nothing that differs when a run is repeated.

    Args:
        run: `RunDirectory`.
        steps_per_epoch: Integer.
        hyperparameters: Dict of name to value, for TensorBoard's HParams.
        train_evaluation: `tf.data.Dataset` of the training examples without
            augmentation, to be scored after every epoch, or `None`.
        input_shape: Tuple, shape of one example, to count what the model
            costs.
    """

    def __init__(
        self,
        run: RunDirectory,
        steps_per_epoch: int,
        hyperparameters: dict,
        train_evaluation: tf.data.Dataset | None = None,
        input_shape: tuple[int | None, ...] | None = None,
    ):
        super().__init__()
        self.csv = LongCsv(run.metrics_file, METRICS_HEADER, run.writes)
        self.steps_per_epoch = steps_per_epoch
        self.hyperparameters = hyperparameters
        self.train_evaluation = train_evaluation
        self.input_shape = input_shape
        self._count: Callable[[], Costs] | None = None
        self._folder = run.tensorboard
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def resume(self, meta: dict) -> None:
        """Forget what was written after the checkpoint with this `meta`."""
        if not self.csv.writes:
            return
        self.csv.cut(meta["metrics_size"])
        for folder in self._folder.glob("*/"):
            forget(folder, meta["step"])

    def log(self, step: int, pairs: dict[str, float], part: str = TRAIN):
        """Write numbers under their names.

        Args:
            step: Integer, optimizer steps done.
            pairs: Dict of name to number.
            part: String, `"train"` or `"validation"`.
        """
        epoch = -(-step // self.steps_per_epoch)
        prefix = "" if part == TRAIN else f"{part}/"
        self.csv.append(
            (step, epoch, prefix + name, value) for name, value in pairs.items()
        )
        with self.writer(part).as_default():
            for name, value in pairs.items():
                tf.summary.scalar(name, value, step=step)

    def writer(self, part: str = TRAIN) -> tf.summary.SummaryWriter:
        """Return the TensorBoard writer of a part, made when first needed."""
        if not self.csv.writes:
            return tf.summary.create_noop_writer()
        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(
                str(self._folder / part)
            )
        return self._writers[part]

    def log_event(
        self, step: int, changes: list[Change], metrics: dict[str, float]
    ) -> None:
        """Write what a reallocation event changed, layer by layer.

        Args:
            step: Integer, the step that made it due.
            changes: List of `Change`.
            metrics: Dict of name to number, what the algorithm says itself.
        """
        pairs = dict(metrics)
        for kernel, before, after in changes:
            dropped = float(np.count_nonzero(before & ~after))
            grown = float(np.count_nonzero(after & ~before))
            pairs[f"dropped/{kernel.name}"] = dropped
            pairs[f"grown/{kernel.name}"] = grown
            # The end of an epoch writes densities of its own.
            if step % self.steps_per_epoch:
                pairs[f"density/{kernel.name}"] = float(after.mean())
        self.log(step, pairs)

    def on_train_begin(self, logs=None):
        shown = {
            name: value if isinstance(value, int | float) else str(value)
            for name, value in self.hyperparameters.items()
        }
        # The session's metrics are looked for below the folder of this one.
        with self.writer(".").as_default():
            hparams.hparams(shown, trial_id="run")
            hparams.hparams_config(
                hparams=[hparams.HParam(name) for name in shown],
                metrics=[
                    hparams.Metric(name, group=VALIDATION)
                    for name in ("accuracy", "loss")
                ],
            )

    def on_epoch_end(self, epoch, logs=None):
        step = self._step()
        logs = dict(logs or {})
        validation = {
            name.removeprefix("val_"): value
            for name, value in logs.items()
            if name.startswith("val_")
        }
        training = {
            name: value for name, value in logs.items() if "val_" not in name
        }
        training["learning_rate"] = float(
            read(self.model.optimizer.learning_rate)
        )
        self.log(step, training | self._densities() | self._costs())
        if validation:
            self.log(step, validation, VALIDATION)
        if self.train_evaluation is not None:
            self._evaluate_train(step)

    def on_train_end(self, logs=None):
        for writer in self._writers.values():
            writer.flush()

    def _step(self) -> int:
        return int(read(self.model.optimizer.iterations))

    def _densities(self) -> dict[str, float]:
        masks = {
            kernel.name: read(kernel.mask) != 0
            for kernel in masked_kernels(self.model)
        }
        active = {name: np.count_nonzero(mask) for name, mask in masks.items()}
        sizes = {name: mask.size for name, mask in masks.items()}
        densities = {
            f"density/{name}": active[name] / sizes[name] for name in masks
        }
        if masks:
            total = sum(active.values()) / sum(sizes.values())
            densities["density"] = total
        return densities

    def _costs(self) -> dict[str, float]:
        if self._count is None:
            self._count = Counter(self.model, self.input_shape).costs
            if any(
                isinstance(k.layer, SparseDense)
                for k in masked_kernels(self.model)
            ):
                # No count changes, and the counter holds whole kernels.
                found = self._count()
                self._count = lambda: found
        costs = self._count()
        return {"macs": costs.macs, "flops": costs.flops}

    def _evaluate_train(self, step: int):
        values = self.model.evaluate(
            self.train_evaluation, return_dict=True, verbose=0
        )
        self.log(step, values, "train_evaluation")


def forget(folder: pathlib.Path, step: int) -> None:
    """Make TensorBoard pass over what a folder holds after a step."""
    writer = EventFileWriter(str(folder), filename_suffix=".restart")
    log = SessionLog(status=SessionLog.START)
    writer.add_event(Event(step=step + 1, session_log=log))
    writer.close()
