"""Reads runs from their folders."""

import contextlib
import csv
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import numpy as np

from cb.config import Config
from cb.errors import InputError
from cb.errors import argument_error
from cb.plots.labels import differences
from cb.plots.labels import distinct_names
from cb.plots.labels import labels
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
        folder: String, where it was read from.
        summary: Dict, the content of `summary.json`; empty for an unfinished
            run.
    """

    label: str
    config: Config
    series: dict[str, Series]
    scores: dict[str, float]
    folder: str
    summary: dict[str, Any]

    @property
    def updates_per_epoch(self) -> float:
        """Float, updates per epoch; 1 before the end of the first epoch."""
        if "loss" not in self.series:
            return 1.0
        loss = self.series["loss"]
        return float(loss.steps[-1] / loss.epochs[-1])

    def last(self, name: str) -> float | None:
        """Return the value of a name at its last step, if there is one."""
        return self.series[name].last if name in self.series else None


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
    summary = folder.read_summary() or {}
    return Run(label, config, series, _scores(folder), path, summary)


def read_runs(texts: Iterable[str]) -> tuple[list[Run], list[str]]:
    """Read several runs, and leave out what is none.

    Args:
        texts: Folders of runs, or with runs in them, each with an optional
            label before it, as in `"small batch=runs/f1_1a2b3c4d"`.

    Returns:
        Tuple of a list of `Run` with different labels and a list of strings,
        why a folder was left out.

    Raises:
        InputError: If a folder does not exist, there is no run at all, or
            labels that were given are equal.
    """
    given: dict[pathlib.Path, str | None] = {}
    skipped: list[str] = []
    runs = []
    for text in texts:
        path, label = _path_and_label(text)
        found = _run_folders(pathlib.Path(os.path.expanduser(path)))
        if not found:
            skipped.append(f"{path!r} is no run and holds none")
        for folder in found:
            prefix = f"{label}/{folder.name}" if found[1:] and label else label
            given[folder] = given.get(folder) or prefix
    for folder, label in given.items():
        try:
            runs.append(read_run(str(folder), label))
        except InputError as error:
            skipped.append(str(error))
    if not runs:
        raise InputError(f"There must be a run. Received: {'; '.join(skipped)}")
    told = [label for label in given.values() if label]
    if twice := sorted({label for label in told if told.count(label) > 1}):
        raise InputError(
            "Runs must have labels that differ, such as `first=FOLDER`. "
            f"Received: {twice[0]!r} twice"
        )
    names = distinct_names([run.folder for run in runs])
    made = labels(differences([run.config for run in runs]), names)
    named = [given[pathlib.Path(run.folder)] for run in runs]
    return [
        dataclasses.replace(run, label=own or label)
        for run, own, label in zip(runs, named, made, strict=True)
    ], skipped


def _run_folders(path: pathlib.Path) -> list[pathlib.Path]:
    """List the folders of runs at a path and below it, not inside of runs."""
    if not path.exists():
        raise argument_error(
            "RUN", "the folder of a run, or of runs", str(path)
        )
    found = []
    for folder, below, files in os.walk(path):
        if "config.json" in files:
            found.append(pathlib.Path(folder))
            below.clear()
    return sorted(found, key=_natural)


def _natural(path: pathlib.Path) -> list[tuple[int, str]]:
    """Return a key that sorts `run_9` before `run_10`."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part) if part.isdecimal() else 0, part) for part in parts]


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
