"""A training from start, or from where it stopped, to its summary."""

import contextlib
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

import cb
from cb import distribute
from cb.callbacks.auto_tune import AutoTune
from cb.callbacks.slots import batch_counter
from cb.callbacks.slots import slots
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import write_all
from cb.config import Config
from cb.config import default_run_dir
from cb.conversion import Report
from cb.conversion import to_masked
from cb.costs.files import file_bytes
from cb.distribute import collectives
from cb.distribute.collectives import assert_equal
from cb.distribute.faults import StopRequest
from cb.distribute.faults import reported_loss
from cb.distribute.faults import stopped_at_once
from cb.distribute.join import Workers
from cb.export import save
from cb.layers.masked import masked_kernels
from cb.runs.directory import RunDirectory
from cb.runs.evaluation_csv import record
from cb.runs.source import read_arrays
from cb.runs.worker_log import logged
from cb.training import assembly
from cb.training import compilation
from cb.training import regime
from cb.training.data import Data
from cb.training.data import build_data
from cb.training.input_sheet import write_input_sheet
from cb.training.run_costs import recorded
from cb.training.run_costs import run_costs
from cb.training.summary import csr_layers
from cb.training.summary import print_kernels
from cb.training.summary import print_start
from cb.training.summary import print_summary
from cb.training.summary import summarize

# Of what decides results, and so must be the same on all workers.
VERSIONS = {
    "cb": cb.__version__,
    "keras": keras.__version__,
    "tensorflow": tf.__version__,
}


def train(config: Config, sources: dict[str, str]) -> dict[str, Any]:
    """Train the run that a configuration describes, or go on with it.

    Args:
        config: `Config`.
        sources: Dict of field to where its value came from.

    Returns:
        Dict, the summary that is printed and kept in `summary.json`.

    Raises:
        InputError: If the configuration cannot be run; nothing is written.
        RunError: If the training cannot go on.
    """
    with started_on_all(config, sources) as start:
        return _train(start)


class Start(NamedTuple):
    """What a training begins with, on each of its workers.

    Attributes:
        config: `Config`, complete.
        sources: Dict of field to where its value came from.
        strategy: `tf.distribute.Strategy`.
        run: `RunDirectory`, which the chief alone writes to.
        stop_requested: `StopRequest`.
    """

    config: Config
    sources: dict[str, str]
    strategy: tf.distribute.Strategy
    run: RunDirectory
    stop_requested: StopRequest


@contextlib.contextmanager
def started_on_all(config: Config, sources: dict[str, str]) -> Iterator[Start]:
    """Join the workers, make sure that they agree, and log what is printed.

    Args:
        config: `Config`.
        sources: Dict of field to where its value came from.

    Yields:
        A `Start`.

    Raises:
        InputError: If the configuration is wrong or workers disagree.
        WorkerLost: If a worker goes while the others need it.
    """
    config, sources = regime.applied(config, sources)
    config = assembly.completed(config)
    tf.config.experimental.enable_op_determinism()
    workers = Workers(
        config.worker_hosts, config.worker_index, config.worker_timeout
    )
    with stopped_at_once():
        strategy = distribute.build(config.strategy, workers=workers)
    index, number = collectives.rank_and_size(strategy)
    run = RunDirectory(
        config.run_dir or default_run_dir(config), writes=index == 0
    )
    with (
        reported_loss(strategy),
        logged(run, index, number),
        StopRequest(strategy) as stop_requested,
    ):
        assert_equal(strategy, {**VERSIONS, **_agreed(config)})
        yield Start(config, sources, strategy, run, stop_requested)
        # No worker leaves while another still needs it.
        collectives.barrier(strategy)


def _agreed(config: Config) -> dict[str, Any]:
    """Return what decides results, and when all workers meet to save."""
    times = ("checkpoint_every", "save_every")
    return config.identity() | {name: getattr(config, name) for name in times}


def _train(start: Start) -> dict[str, Any]:
    config, sources, strategy, run, _ = start
    started = time.monotonic()
    summary = collectives.broadcast(
        strategy, lambda: run.read_summary() if run.check(config) else None
    )
    if summary and summary["epochs"] >= compilation.epochs(config):
        print(f"Finished already, nothing to do: {run.path}")
        print_summary(summary)
        return summary
    data = build_data(config, strategy.num_replicas_in_sync)
    assert_equal(strategy, {"data": data.source.digest()})
    with strategy.scope():
        reports: list[Report] = []
        model = assembly.build_model(config, data.source, reports.append)
        if config.initialize_from:
            initialize(model, config.initialize_from)
        model = assembly.on_kernels(config, model, print_kernels)
        compilation.compile_model(
            model, config, data.training_length(), data.source.num_classes
        )
    summary = complete(
        model,
        reports,
        config,
        sources,
        data,
        run,
        started,
        start.stop_requested,
    )
    print_summary(summary)
    return summary


def complete(
    model: keras.Model,
    reports: list[Report],
    config: Config,
    sources: dict[str, str],
    data: Data,
    run: RunDirectory,
    started: float,
    stop_requested: Callable[[], bool],
    extra: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Train a model from where its run stopped, and write all of the run.

    Args:
        model: Compiled Keras model.
        reports: List of the `Report` of making it sparse.
        config: `Config`, complete.
        sources: Dict of field to where its value came from.
        data: `Data`.
        run: `RunDirectory`.
        started: Float, what `time.monotonic` was at the start.
        stop_requested: Callable that tells whether to save and stop.
        extra: Callbacks. One of class `AutoTune` may end the training
            early; then there is neither export nor summary.

    Returns:
        Dict, the summary; empty after an early end.
    """
    interactive = sys.stdout.isatty()
    slots(model.optimizer, [k.trained for k in masked_kernels(model)])
    with model.distribute_strategy.scope():
        callbacks = assembly.build_callbacks(config, data, run, interactive)
    callbacks.checkpointing.stop_requested = stop_requested
    callbacks.others.extend(extra)
    gates = [callback for callback in extra if isinstance(callback, AutoTune)]
    for gate in gates:
        callbacks.checkpointing.callbacks["auto_tune"] = gate
    print_start(config, data, model, run)
    with run.locked(), data.decoded():
        run.write_config(config, sources)
        run.forget_summary()
        position = find_position(config, data, model, callbacks, run)
        if config.show_input and run.writes:
            print(f"Input: {write_input_sheet(data, run, config.seed)}")
        # A gate restored from a checkpoint may have closed already.
        if not any(gate.outcome for gate in gates):
            assembly.fit(model, config, data, callbacks, position, interactive)
        if any(gate.outcome for gate in gates):
            return {}
        scores = model.evaluate(data.test, return_dict=True, verbose=0)
        on_csr = csr_layers(model)
        model = to_masked(model)
        if run.writes:
            save(model, str(run.export))
        found, training = run_costs(config, model, data)
        # Late, since who is killed before the summary comes here again.
        record(run, "last", "test", scores)
        record(run, "last", "costs", recorded(found))
        summary = summarize(config, model, reports, scores, run)
        summary["costs"] = {
            **found.as_dict(),
            "export_bytes": file_bytes(run.export) if run.writes else 0,
        }
        summary["training"] = training.as_dict()
        summary["csr_layers"] = on_csr
        summary["seconds"] = round(time.monotonic() - started, 1)
        run.write_summary(summary)
    return summary


def find_position(
    config: Config,
    data: Data,
    model: keras.Model,
    callbacks: assembly.Callbacks,
    run: RunDirectory,
) -> tuple[int, int]:
    """Restore the latest checkpoint, or prepare a start from the beginning.

    Returns:
        Tuple of completed epochs and batches of the next one.
    """
    checkpointing = callbacks.checkpointing
    checkpointing.set_model(model)
    checkpoint, messages = collectives.broadcast(
        model.distribute_strategy, checkpointing.folder.latest
    )
    for message in messages:
        print(message)
    if checkpoint is not None:
        # Metrics have no variables to restore before their first batch.
        probe = tf.data.Dataset.from_tensors(data.batches.probe(0))
        model.evaluate(probe, verbose=0)
        position = checkpointing.restore(checkpoint)
        callbacks.logger.resume(checkpoint.meta)
        print(
            f"Going on after epoch {position[0]}, batch {position[1]} "
            f"(step {checkpoint.meta['step']})",
            flush=True,
        )
        return position
    run.forget_training()
    steps = config.initial_epoch * data.batches.steps_per_epoch
    batch_counter(model.optimizer).assign(steps)
    checkpointing.save_initial()
    return config.initial_epoch, 0


def initialize(model: keras.Model, text: str) -> None:
    """Take over weights, and masks where there are any, from another run.

    Args:
        model: Keras model.
        text: `RUN[:initial|best|last|N]`, a run folder and a checkpoint.

    Raises:
        InputError: If there is no such checkpoint, or it does not fit.
    """
    arrays = collectives.broadcast(
        model.distribute_strategy, lambda: read_arrays(text)
    )
    variables = model_variables(model)
    dense = not any(key.endswith(("/mask", "/starts")) for key in arrays)
    if dense:
        # The masks just drawn stay.
        variables = {
            key: variable
            for key, variable in variables.items()
            if not key.endswith("/mask")
        }
    write_all(variables, arrays)
    what = "weights" if dense else "weights and masks"
    path, _, name = text.partition(":")
    print(f"Starting from the {what} of {path} ({name or 'last'})")
