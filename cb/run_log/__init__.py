"""The one log of a run: numbers, histograms and images, sent to sinks.

Everything that a run logs goes through a `RunLog`, or a `Sink` of its own: the
CSV file that a resumed run continues, TensorBoard, and others by a name.
"""

import re

from cb.errors import argument_error
from cb.registry import Registry
from cb.registry import parse_spec
from cb.registry import unknown
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
    "check_names",
    "open_log",
]

REGISTRY = Registry("sink", __name__, given=("folder", "run"))
# Not those inside of parentheses.
_COMMAS = re.compile(r",(?![^(]*\))")


def open_log(
    run: RunDirectory, updates_per_epoch: int, sinks: str = "tensorboard"
) -> RunLog:
    """Return the log of a run: `metrics.csv` and other sinks.

    Nothing is written before the first value is logged.

    Args:
        run: `RunDirectory`. Where it is written by another process, nothing
            is logged.
        updates_per_epoch: Integer, optimizer steps in an epoch.
        sinks: Specs of further sinks, joined by commas, or `"none"`.

    Returns:
        `RunLog`.

    Raises:
        ImportError: If the package of a sink is missing.
        InputError: If a sink is unknown.
    """
    if not run.writes:
        return RunLog([])
    further = [
        REGISTRY.build(spec, folder=run.tensorboard, run=run)
        for spec in _split(sinks)
    ]
    return RunLog([MetricsCsv(run.metrics_file, updates_per_epoch), *further])


def check_names(sinks: str) -> None:
    """Refuse sinks that are not known, or named twice, importing none.

    Args:
        sinks: String, as in `open_log`.

    Raises:
        InputError: If there is one.
    """
    if not all(_split(sinks)):
        expected = "names with commas between them, or 'none'"
        raise argument_error("log_to", expected, sinks)
    names = [parse_spec(spec).name for spec in _split(sinks)]
    for name in names:
        if name not in REGISTRY.names():
            raise unknown("sink", name, [*REGISTRY.names(), "none"])
        if names.count(name) > 1:
            raise argument_error("log_to", "different sinks", sinks)


def _split(sinks: str) -> list[str]:
    if sinks == "none":
        return []
    return [spec.strip() for spec in _COMMAS.split(sinks)]
