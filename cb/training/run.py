"""One training run, step by step: build, restore, fit, evaluate, export."""

import contextlib
import copy
import dataclasses
import functools
import math
import sys
import time
import warnings
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from cb.callbacks.auto_tune import AutoTune
from cb.callbacks.slots import batch_counter
from cb.callbacks.slots import slots
from cb.callbacks.slots import steps_done
from cb.config import Config
from cb.conversion import Report
from cb.conversion import to_masked
from cb.costs.files import file_bytes
from cb.distribute import collectives
from cb.distribute.collectives import assert_equal
from cb.errors import InputError
from cb.errors import NotReached
from cb.export import save
from cb.layers.masked import masked_kernels
from cb.runs.checkpoint import Checkpoint
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from cb.runs.evaluation_csv import record
from cb.text import paragraph
from cb.training import assembly
from cb.training.data import Data
from cb.training.data import build_data
from cb.training.executions import Undisturbed
from cb.training.executions import steps_in_execution
from cb.training.provenance import compared
from cb.training.provenance import started
from cb.training.run_costs import recorded
from cb.training.run_costs import run_costs
from cb.training.start import initialize
from cb.training.summary import csr_layers
from cb.training.summary import moved
from cb.training.summary import print_kernels
from cb.training.summary import print_start
from cb.training.summary import summarize


class TrainingRun:
    """Trains the model of a configuration in a run folder.

    `build` and `train` are the whole of it; the other methods are the steps
    of `train`, in order.

    Args:
        config: `Config`, complete.
        sources: Dict of field to the origin of its value.
        strategy: `tf.distribute.Strategy`.
        directory: `RunDirectory`, written to by the chief alone.
        stop_requested: Callable that returns whether to save and stop.

    Attributes:
        model: Keras model; compiled by `build`.
        reports: List of the `Report` of sparsifying it.
    """

    model: keras.Model

    def __init__(
        self,
        config: Config,
        sources: dict[str, str],
        strategy: tf.distribute.Strategy,
        directory: RunDirectory,
        stop_requested: Callable[[], bool],
    ):
        self.config = config
        self.sources = sources
        self.strategy = strategy
        self.directory = directory
        self.stop_requested = stop_requested
        self.reports: list[Report] = []
        self._started = time.monotonic()

    @functools.cached_property
    def data(self) -> Data:
        """The run's `Data`, the same on all workers."""
        data = self._loaded
        start = self.start
        assert_equal(self.strategy, {"data": start["data"]})
        lines = collectives.broadcast(
            self.strategy, lambda: self._compared(start)
        )
        for line in lines:
            print(paragraph(line), flush=True)
        return data

    @functools.cached_property
    def start(self) -> dict[str, Any]:
        """Data, versions and replicas of this start, as in `config.json`."""
        return started(self._loaded, self.strategy.num_replicas_in_sync)

    @functools.cached_property
    def _loaded(self) -> Data:
        return build_data(self.config, self.strategy.num_replicas_in_sync)

    def check_finished(self) -> None:
        """Compare the data with those of the finished run, if they are there.

        Raises:
            InputError: If they have changed.
        """

        def lines():
            try:
                start = {"data": self.start["data"]}
            except InputError as error:
                return [f"The data were not compared with the run's: {error}"]
            return self._compared(start)

        for line in collectives.broadcast(self.strategy, lines):
            print(paragraph(line))

    def _compared(self, start: dict[str, Any]) -> list[str]:
        accepted = self.config.accept_changed_data
        return compared(self.directory, start, accepted)

    def replaced(self, **values) -> "TrainingRun":
        """Return a run that shares data and model, its configuration changed.

        Args:
            **values: Fields of `Config`; neither data nor model are built
                again.
        """
        run = copy.copy(self)
        run.config = dataclasses.replace(self.config, **values)
        if "run_dir" in values:
            writes = self.directory.writes
            run.directory = RunDirectory(values["run_dir"], writes)
        run._started = time.monotonic()
        return run

    def build(self) -> keras.Model:
        """Build and compile the model, with the weights that it starts from.

        Raises:
            InputError: If a part is wrong or two of them do not go together.
        """

        config = self.config

        def prepare(model):
            # Masks that come from weights are made of those already.
            if config.initialize_from and config.masks == "random":
                initialize(model, config.initialize_from)
            return assembly.on_kernels(config, model, print_kernels)

        self.reports = []
        self.model = assembly.build_compiled_model(
            config, self.data, self.strategy, self.reports.append, prepare
        )
        return self.model

    def train(
        self,
        extra: Sequence[keras.callbacks.Callback] = (),
        until: int | None = None,
    ) -> dict[str, Any]:
        """Train from the last checkpoint, or the beginning, to the summary.

        Args:
            extra: Callbacks. One of class `AutoTune` may end the training
                early; then there is neither export nor summary.
            until: Integer, the number of epochs after which the training
                rests; `None` for all.

        Returns:
            Dict, the summary; empty after an early end or at rest.
        """
        directory = self.directory
        gates = [one for one in extra if isinstance(one, AutoTune)]
        callbacks = self.build_callbacks(extra)
        print_start(self.config, self.data, self.model, directory)
        with (
            directory.locked(),
            self.data.decoded(),
            contextlib.closing(callbacks.logger.log),
        ):
            self._say_if_longer()
            directory.write_config(self.config, self.sources, self.start)
            epoch, batch = self.restore(callbacks)
            directory.forget_summary()
            if self.config.show_input and directory.writes:
                # Draws with Matplotlib, which nothing else here needs.
                from cb.training.input_sheet import write_input_sheet

                sheet = write_input_sheet(
                    self.data, directory, callbacks.logger.log, self.config.seed
                )
                print(f"Input: {sheet}")
            # A gate restored from a checkpoint may have closed already.
            if not any(gate.outcome for gate in gates):
                self.fit(callbacks, epoch, batch, until)
            if any(gate.outcome for gate in gates):
                return {}
            if until is not None and until < self.data.epochs:
                print(f"Rests after {until} of {self.data.epochs} epochs.")
                return {}
            return self.finish(callbacks)

    def _say_if_longer(self) -> None:
        """Say that a run is continued beyond the end that it had."""
        directory, epochs = self.directory, self.config.epochs
        if not directory.writes or not directory.config_file.exists():
            return
        before = directory.read_config().epochs
        if before < epochs:
            print(
                f"The run had {before} epochs. Schedules and times are those "
                f"of {epochs} from here on, so that it is not a training of "
                f"{epochs} epochs from the start.",
                flush=True,
            )

    def build_callbacks(
        self, extra: Sequence[keras.callbacks.Callback] = ()
    ) -> assembly.Callbacks:
        """Build the callbacks; nothing is written yet."""
        # An optimizer whose slots are not known is refused here.
        weights = [kernel.trained for kernel in masked_kernels(self.model)]
        slots(self.model.optimizer, [w for w in weights if w.trainable])
        with self.strategy.scope():
            callbacks = assembly.build_callbacks(
                self.config, self.data, self.directory, sys.stdout.isatty()
            )
        callbacks.checkpointing.stop_requested = self.stop_requested
        callbacks.others.extend(extra)
        for callback in extra:
            if isinstance(callback, AutoTune):
                callbacks.checkpointing.callbacks["auto_tune"] = callback
        return callbacks

    def restore(self, callbacks: assembly.Callbacks) -> tuple[int, int]:
        """Restore the last checkpoint, or prepare a start from the beginning.

        Returns:
            Tuple of completed epochs and batches of the next one.
        """
        batches, checkpointing = self.data.batches, callbacks.checkpointing
        checkpointing.set_model(self.model)
        checkpoint, messages = collectives.broadcast(
            self.strategy, lambda: self._latest(checkpointing.folder)
        )
        for message in messages:
            print(paragraph(message))
        if checkpoint is not None:
            # Metrics have no variables to restore before their first batch.
            probe = tf.data.Dataset.from_tensors(batches.probe(0))
            self.model.evaluate(probe, verbose=0)
            epoch, batch = checkpointing.restore(checkpoint)
            callbacks.logger.log.resume(checkpoint.meta)
            print(
                f"Resuming after epoch {epoch}, batch {batch} "
                f"(step {checkpoint.meta['step']})",
                flush=True,
            )
            return epoch, batch
        self.directory.forget_training()
        steps = self.config.initial_epoch * batches.steps_per_epoch
        batch_counter(self.model.optimizer).assign(steps)
        checkpointing.save_initial()
        return self.config.initial_epoch, 0

    def _latest(
        self, folder: CheckpointFolder
    ) -> tuple[Checkpoint | None, list[str]]:
        """Return the last checkpoint, and what is said about it.

        Raises:
            InputError: If there is none, but the run has been trained.
        """
        checkpoint, messages = folder.latest()
        left = {str(name) for name in folder.names()}
        finished = self.directory.read_summary() is not None
        # A kill may leave these two without another; of a run that has ended
        # they are what somebody has left.
        if checkpoint is None and (finished or left - {"initial", "best"}):
            raise InputError(
                f"Run folder {str(self.directory.path)!r} must have an intact "
                "checkpoint to resume from: restore one, or name another "
                f"`run_dir`. Received: {sorted(left) or 'no checkpoint'}"
            )
        return checkpoint, messages

    def fit(
        self,
        callbacks: assembly.Callbacks,
        epoch: int = 0,
        batch: int = 0,
        until: int | None = None,
    ) -> None:
        """Train from a position to the end, or to a number of epochs.

        Args:
            callbacks: `Callbacks`.
            epoch: Integer, completed epochs.
            batch: Integer, completed batches of the next epoch.
            until: Integer, or `None` for all epochs.
        """
        data, length = self.data, self.data.batches.steps_per_epoch
        self._choose_execution(callbacks.undisturbed, batch)
        single = self.model.steps_per_execution == 1
        validation, steps = data.validation, None
        if validation is not None and single:
            # Keras begins another pass after each over data of known length.
            # Several steps at a time would run on into it.
            validation, steps = validation.repeat(), len(validation)
        last = min(until or data.epochs, data.epochs)
        # The rest of an epoch takes a `fit` of its own.
        ends = [min(epoch + 1, last), last] if batch else [last]
        for end in ends:
            if epoch >= end or self.model.stop_training:
                continue
            first, last_batch = epoch * length + batch, end * length
            with warnings.catch_warnings():
                # The summary says it.
                warnings.simplefilter("ignore", NotReached)
                self.model.fit(
                    data.batches.dataset(first, last_batch, timed=single),
                    initial_epoch=epoch,
                    epochs=end,
                    steps_per_epoch=length - batch,
                    validation_data=validation,
                    validation_steps=steps,
                    callbacks=callbacks.in_order(),
                    shuffle=False,
                    verbose=0,
                )
            epoch, batch = end, 0

    def _choose_execution(self, undisturbed: Undisturbed, batch: int) -> None:
        at_most = self.config.steps_per_execution
        common = math.gcd(undisturbed.batches, batch)
        steps = steps_in_execution(at_most, common)
        if steps < at_most:
            reason = undisturbed.reason
            if common < undisturbed.batches:
                reason = f"the run goes on after batch {batch}"
            print(
                f"Steps per execution: {steps} instead of {at_most}; {reason}",
                flush=True,
            )
        if steps != self.model.steps_per_execution:
            self.model.steps_per_execution = steps
            # Keras keeps functions that it has traced.
            self.model.train_function = self.model.test_function = None

    def finish(self, callbacks: assembly.Callbacks) -> dict[str, Any]:
        """Evaluate and export the trained model, and write the summary."""
        run, data = self.directory, self.data
        scores = self.evaluate()
        on_csr = csr_layers(self.model)
        steps = steps_done(self.model)
        self.model = to_masked(self.model)
        if run.writes:
            save(self.model, str(run.export))
        costs, training = run_costs(self.config, self.model, self.data)
        # Written last: a run killed before its summary repeats this block.
        record(run, "last", "test", scores)
        callbacks.logger.log.results(steps, scores)
        record(run, "last", "costs", recorded(costs))
        summary = {
            **summarize(self.config, self.model, self.reports, scores, run),
            "costs": {
                **costs.as_dict(),
                "export_bytes": file_bytes(run.export) if run.writes else 0,
            },
            "training": training.as_dict(),
            "csr_layers": on_csr,
            **moved(
                self.model,
                callbacks.reallocation.values(),
                (self.config.initial_epoch * data.updates_per_epoch, steps),
            ),
            "seconds": round(time.monotonic() - self._started, 1),
        }
        run.write_summary(summary)
        return summary

    def evaluate(self) -> dict[str, float]:
        """Return the scores on the test examples, by metric."""
        return self.model.evaluate(self.data.test, return_dict=True, verbose=0)
