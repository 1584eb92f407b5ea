"""One run of a sweep: its costs first, its training only if they allow."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import keras

from cb.config import Config
from cb.registry import Spec
from cb.registry import bind
from cb.registry import parse_spec
from cb.runs.directory import RunDirectory
from cb.runs.metrics_csv import METRICS_HEADER
from cb.runs.metrics_csv import LongCsv
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.training import assembly
from cb.training import regime
from cb.training.data import Data
from cb.training.data import build_data
from cb.training.run_costs import run_costs
from cb.training.train import train
from cb.tuning import objectives
from cb.tuning.task import COMPLETE
from cb.tuning.task import INFEASIBLE
from cb.tuning.task import Outcome
from cb.tuning.task import Task


def perform(task: Task) -> Outcome:
    """Do a task.

    Args:
        task: `Task`. A run that was begun in its folder is gone on with.

    Returns:
        `Outcome`.

    Raises:
        InputError: If the configuration cannot be run.
        RunError: If the training cannot go on.
    """
    started = time.monotonic()
    keras.backend.clear_session()
    completed = _completed(task.config, task)
    data = build_data(completed, 1)
    config, notes = capped(task.config, completed, data.training_length())
    measured = cheap(_completed(config, task), data)
    broken = objectives.exceeded(task.bounds, measured)
    status = INFEASIBLE if broken else COMPLETE
    if task.trained and not broken:
        summary = train(config, dict(task.sources))
        measured |= measure(RunDirectory(summary["run_dir"]), summary)
        broken = objectives.exceeded(task.bounds, measured)
        status = INFEASIBLE if broken else COMPLETE
    return Outcome(
        status,
        measured,
        "; ".join([*notes, *broken]),
        config,
        time.monotonic() - started,
    )


def _completed(config: Config, task: Task) -> Config:
    """Write out what the regime and the parts of a run leave to defaults."""
    return assembly.completed(regime.applied(config, task.sources)[0])


def cheap(config: Config, data: Data) -> dict[str, float]:
    """Count what a run costs, from its first masks and its schedule.

    Args:
        config: `Config`, complete.
        data: `Data`.

    Returns:
        Dict of metric to value.
    """
    model = assembly.build_model(config, data.source)
    counted, training = run_costs(config, model, data)
    return {
        objectives.INFERENCE: float(counted.flops),
        objectives.TRAINING: float(training.total),
        "parameters": float(counted.parameters),
        "storage_bytes": float(counted.weights.csr_bytes),
    }


def capped(
    config: Config, completed: Config, training_length: TrainingLength
) -> tuple[Config, list[str]]:
    """Cut times in steps that are longer than the training.

    Args:
        config: `Config` as given.
        completed: The same with defaults written out.
        training_length: `TrainingLength` of the training.

    Returns:
        Tuple of the `Config` to run and a list of what was cut, as text.
    """
    spec = parse_spec(config.reallocation)
    steps = training_length.total_steps
    every = parse_spec(completed.reallocation).kwargs
    longer = {
        name: value
        for name, value in every.items()
        if type(value) is int
        and name in ("end", "every", "start", "stop")
        and steps is not None
        and value > steps
    }
    if not longer:
        return config, []
    # By name, for what is cut may have been given by its place.
    given = bind(reallocation.get(spec.name), spec, reallocation.REGISTRY.kind)
    kwargs = {**given, **dict.fromkeys(longer, steps)}
    cut = str(Spec(spec.name, (), kwargs))
    notes = [
        f"reallocation.{name} cut from {value} to {steps}"
        for name, value in longer.items()
    ]
    return dataclasses.replace(config, reallocation=cut), notes


def measure(run: RunDirectory, summary: Mapping[str, Any]) -> dict[str, float]:
    """Read what a finished run measured."""
    rows = LongCsv(run.metrics_file, METRICS_HEADER).read()
    last = {row["name"]: float(row["value"]) for row in rows}
    return {
        **objectives.scores(last, summary["test"]),
        "seconds": float(summary["seconds"]),
    }
