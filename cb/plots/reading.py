"""Reads runs from their folders."""

import contextlib
import csv
import dataclasses
from collections.abc import Iterable
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cb.config import Config
from cb.errors import InputError
from cb.runs.directory import RunDirectory
from cb.runs.long_csv import EVALUATION_HEADER
from cb.runs.long_csv import METRICS_HEADER
from cb.runs.long_csv import LongCsv


class Series(NamedTuple):
    """The logged values of one name.

    Attributes:
        steps: Array `(points,)`, completed optimizer steps, ascending.
        epochs: Array `(points,)`, number of the epoch, from 1.
        values: Array `(points,)` of float64.
    """

    steps: np.ndarray
    epochs: np.ndarray
    values: np.ndarray

    @property
    def last(self) -> float:
        """Float, the value at the last step."""
        return float(self.values[-1])


@dataclasses.dataclass(frozen=True)
class Run:
    """The configuration and the logged numbers of a run.

    Args:
        label: String, its name in figures.
        config: `Config`.
        series: Dict of name to `Series`, in the order of `metrics.csv`.
        scores: Dict of name to float, scores of the last checkpoint on the
            test examples; empty for an unfinished run.
    """

    label: str
    config: Config
    series: dict[str, Series]
    scores: dict[str, float]

    @property
    def updates_per_epoch(self) -> float:
        """Float, updates per epoch; 1 before the end of the first epoch."""
        if "loss" not in self.series:
            return 1.0
        loss = self.series["loss"]
        return float(loss.steps[-1] / loss.epochs[-1])


def read_run(path: str, label: str | None = None) -> Run:
    """Read a run, finished or not.

    Args:
        path: String, the run folder.
        label: String; the name of the folder by default.

    Returns:
        `Run`.

    Raises:
        InputError: If it is not the folder of a run with `metrics.csv`.
    """
    folder = RunDirectory(path)
    config = folder.read_config()
    if not folder.metrics_file.is_file():
        raise InputError(
            "A run must have `metrics.csv`, which its first epoch writes. "
            f"Received: {path!r}"
        )
    label = label or folder.path.resolve().name
    series = _series(LongCsv(folder.metrics_file, METRICS_HEADER))
    return Run(label, config, series, _scores(folder))


def read_runs(texts: Iterable[str]) -> list[Run]:
    """Read several runs.

    Args:
        texts: Folders, each with an optional label before it, as in
            `"small batch=runs/f1_1a2b3c4d"`.

    Returns:
        List of `Run` with different labels.

    Raises:
        InputError: If a folder is not that of a run, or labels are equal.
    """
    runs = [read_run(*_path_and_label(text)) for text in texts]
    labels = [run.label for run in runs]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InputError(
            "Runs must have labels that differ, such as `first=FOLDER`. "
            f"Received: {twice[0]!r} twice"
        )
    return runs


def _path_and_label(text: str) -> tuple[str, str | None]:
    """Take `[LABEL=]RUN` apart; label and run may have `=` in them too."""
    parts = text.split("=")
    for start in range(len(parts)):
        path = "=".join(parts[start:])
        if RunDirectory(path).path.exists():
            return path, "=".join(parts[:start]) or None
    label, separator, path = text.partition("=")
    return (path, label) if separator else (text, None)


def _series(file: LongCsv) -> dict[str, Series]:
    found: dict[str, dict[int, tuple[int, float]]] = {}
    with _reading(file):
        for row in file.read():
            points = found.setdefault(row["name"], {})
            points[int(row["step"])] = int(row["epoch"]), float(row["value"])
    series = {}
    for name, points in found.items():
        steps = sorted(points)
        epochs, values = zip(*(points[step] for step in steps), strict=True)
        series[name] = Series(
            np.array(steps), np.array(epochs), np.array(values, np.float64)
        )
    return series


def _scores(folder: RunDirectory) -> dict[str, float]:
    if not folder.evaluation_file.is_file():
        return {}
    file = LongCsv(folder.evaluation_file, EVALUATION_HEADER)
    with _reading(file):
        return {
            row["name"]: float(row["value"])
            for row in file.read()
            if (row["checkpoint"], row["split"]) == ("last", "test")
        }


@contextlib.contextmanager
def _reading(file: LongCsv) -> Iterator[None]:
    """Turn errors of a malformed file into `InputError`."""
    try:
        yield
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"A run's `{file.file.name}` must have the columns "
            f"{','.join(file.header)} with numbers. "
            f"Received: {str(file.file)!r}: {error}"
        ) from error
