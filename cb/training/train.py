"""Trains the run that a configuration describes, on all of its workers."""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from cb import distribute
from cb.config import Config
from cb.config import default_run_dir
from cb.distribute import collectives
from cb.distribute.collectives import assert_equal
from cb.distribute.faults import StopRequest
from cb.distribute.faults import reported_loss
from cb.distribute.faults import stopped_at_once
from cb.distribute.join import Workers
from cb.runs.directory import RunDirectory
from cb.runs.worker_log import logged
from cb.training import assembly
from cb.training import compilation
from cb.training.provenance import VERSIONS
from cb.training.run import TrainingRun
from cb.training.summary import print_summary


def train(
    config: Config, sources: dict[str, str], until: int | None = None
) -> dict[str, Any]:
    """Train the run that a configuration describes, or resume it.

    Args:
        config: `Config`.
        sources: Dict of field to the origin of its value.
        until: Integer, the number of epochs after which the run rests, or
            `None` for all. Schedules are those of the whole run.

    Returns:
        Dict, the summary that is printed and kept in `summary.json`; empty
        if the run rests.

    Raises:
        InputError: If the configuration cannot be run; nothing is written.
        RunError: If the training cannot continue.
    """
    with joined_run(config, sources) as run:
        summary = collectives.broadcast(
            run.strategy, lambda: _finished_summary(run)
        )
        if summary:
            run.check_finished()
            print(f"Finished already, nothing to do: {run.directory.path}")
        else:
            run.build()
            summary = run.train(until=until)
        if summary:
            print_summary(summary)
        return summary


def _finished_summary(run: TrainingRun) -> dict[str, Any] | None:
    """Return the summary in the folder, unless the run became longer."""
    if not run.directory.check(run.config):
        return None
    summary = run.directory.read_summary()
    wanted = compilation.epochs(run.config)
    return summary if summary and summary["epochs"] >= wanted else None


@contextlib.contextmanager
def joined_run(
    config: Config, sources: dict[str, str]
) -> Iterator[TrainingRun]:
    """Join the workers, check that they agree, and log what is printed.

    Args:
        config: `Config`.
        sources: Dict of field to the origin of its value.

    Yields:
        A `TrainingRun`, not built yet.

    Raises:
        InputError: If the configuration is wrong or workers disagree.
        WorkerLost: If a worker goes while the others need it.
    """
    config, sources = assembly.resolve(config, sources)
    tf.config.experimental.enable_op_determinism()
    workers = Workers(
        config.worker_hosts, config.worker_index, config.worker_timeout
    )
    with stopped_at_once():
        strategy = distribute.build(config.strategy, workers=workers)
    rank, number = collectives.rank_and_size(strategy)
    directory = RunDirectory(
        config.run_dir or default_run_dir(config), writes=rank == 0
    )
    with (
        reported_loss(strategy),
        logged(directory, rank, number),
        StopRequest(strategy) as stop_requested,
    ):
        assert_equal(strategy, {**VERSIONS, **_agreed(config)})
        yield TrainingRun(config, sources, strategy, directory, stop_requested)
        # No worker leaves while another still needs it.
        collectives.barrier(strategy)


def _agreed(config: Config) -> dict[str, Any]:
    """Return the fields that workers must agree on, save times included."""
    times = ("checkpoint_every", "save_every")
    return config.identity() | {name: getattr(config, name) for name in times}
