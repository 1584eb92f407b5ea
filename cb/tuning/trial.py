"""One run of a sweep: costs first, training only if they are within bounds."""

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
from cb.runs.long_csv import METRICS_HEADER
from cb.runs.long_csv import LongCsv
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.training import assembly
from cb.training.data import Data
from cb.training.data import build_data
from cb.training.run_costs import run_costs
from cb.training.train import train
from cb.tuning import objectives
from cb.tuning.run_request import COMPLETE
from cb.tuning.run_request import INFEASIBLE
from cb.tuning.run_request import RESTING
from cb.tuning.run_request import RunRequest
from cb.tuning.run_request import RunResult


def perform(request: RunRequest) -> RunResult:
    """Run a configuration.

    Args:
        request: `RunRequest`. A run that was begun in its folder is resumed.

    Returns:
        `RunResult`.

    Raises:
        InputError: If the configuration cannot be run.
        RunError: If the training fails.
    """
    started = time.monotonic()
    keras.backend.clear_session()
    completed, _ = assembly.resolve(request.config, request.sources)
    data = build_data(completed, 1)
    config, notes = capped(request.config, completed, data.training_length())
    measured = cheap(assembly.resolve(config, request.sources)[0], data)
    broken = objectives.exceeded(request.bounds, measured)
    status, epochs = INFEASIBLE if broken else COMPLETE, 0
    if request.trained and not broken:
        epochs = max(round(data.epochs / request.divisor), 1)
        summary = train(config, dict(request.sources), epochs)
        measured |= measure(config, epochs, summary)
        elapsed = time.monotonic() - started
        measured["seconds"] = float(summary.get("seconds", elapsed))
        if epochs < data.epochs:
            status = RESTING
            notes.append(f"after {epochs} of {data.epochs} epochs")
        elif broken := objectives.exceeded(request.bounds, measured):
            status = INFEASIBLE
    return RunResult(
        status,
        measured,
        "; ".join([*notes, *broken]),
        config,
        time.monotonic() - started,
        epochs,
        # Of a point that is not trained, none are saved.
        data.epochs if epochs else 0,
    )


def cheap(config: Config, data: Data) -> dict[str, float]:
    """Count the costs of a run from its initial masks and schedule.

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
    """Shorten times in steps that exceed the training.

    Args:
        config: `Config` as given.
        completed: The same with defaults written out.
        training_length: `TrainingLength` of the training.

    Returns:
        Tuple of the `Config` to run and a list of strings, the changes.
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
    # By name, since positional arguments may be among them.
    given = bind(reallocation.get(spec.name), spec, reallocation.REGISTRY.kind)
    kwargs = {**given, **dict.fromkeys(longer, steps)}
    cut = str(Spec(spec.name, (), kwargs))
    notes = [
        f"reallocation.{name} cut from {value} to {steps}"
        for name, value in longer.items()
    ]
    return dataclasses.replace(config, reallocation=cut), notes


def measure(
    config: Config, epochs: int, summary: Mapping[str, Any]
) -> dict[str, float]:
    """Read the metrics of a run after some epochs.

    Args:
        config: `Config` of the run.
        epochs: Integer.
        summary: Dict, of a finished run, or empty.

    Returns:
        Dict of metric to value.
    """
    run = RunDirectory(str(config.run_dir))
    rows = LongCsv(run.metrics_file, METRICS_HEADER).read()
    last = {
        row["name"]: float(row["value"])
        for row in rows
        if int(row["epoch"]) <= epochs
    }
    return objectives.scores(last, summary.get("test", {}))
