"""The one log of a run: numbers, histograms and images, sent to sinks.

Everything that a run logs goes through a `RunLog`, or a `Sink` of its own: the
CSV file that a resumed run continues, TensorBoard, and others by a name.
"""

from collections.abc import Sequence

from cb.registry import Registry
from cb.registry import Spec
from cb.run_log.metrics_csv import MetricsCsv
from cb.run_log.sink import TEST
from cb.run_log.sink import TRAIN
from cb.run_log.sink import VALIDATION
from cb.run_log.sink import RunLog
from cb.run_log.sink import Sink
from cb.runs.directory import RunDirectory

__all__ = [
    "REGISTRY",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "RunLog",
    "Sink",
    "open_log",
]

REGISTRY = Registry("sink", __name__, given=("folder",))


def open_log(
    run: RunDirectory,
    updates_per_epoch: int,
    sinks: Sequence[str | Spec] = ("tensorboard",),
) -> RunLog:
    """Return the log of a run: `metrics.csv` and other sinks.

    Nothing is written before the first value is logged.

    Args:
        run: `RunDirectory`. Where it is written by another process, nothing
            is logged.
        updates_per_epoch: Integer, optimizer steps in an epoch.
        sinks: Specs of further sinks.

    Returns:
        `RunLog`.

    Raises:
        InputError: If a sink is unknown.
    """
    if not run.writes:
        return RunLog([])
    further = [REGISTRY.build(sink, folder=run.tensorboard) for sink in sinks]
    return RunLog([MetricsCsv(run.metrics_file, updates_per_epoch), *further])
