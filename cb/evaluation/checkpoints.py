"""Scores of a trained model on every test example."""

import dataclasses
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from cb import distribute
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import write_all
from cb.config import Config
from cb.errors import InputError
from cb.registry import parse_spec
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from cb.runs.evaluation_csv import record
from cb.training import assembly
from cb.training import compilation
from cb.training.data import Data
from cb.training.data import build_data

# Names of checkpoints, and of several at once.
ALL, LAST_FIVE, INITIAL, LAST = "all", "last5", "initial", "last"
AVERAGED = 5


class OpenedRun(NamedTuple):
    """A run that is there, ready to take over its checkpoints.

    Attributes:
        run: `RunDirectory`.
        config: `Config` of the run.
        data: `Data`.
        model: Compiled Keras model.
    """

    run: RunDirectory
    config: Config
    data: Data
    model: keras.Model


class Scored(NamedTuple):
    """What a checkpoint scores on the test examples.

    Attributes:
        name: String, of the checkpoint.
        step: Integer, optimizer steps behind it.
        scores: Dict of metric to value.
    """

    name: str
    step: int
    scores: dict[str, float]


def evaluate_run(
    run_dir: str,
    checkpoint: str = "last",
    data_dir: str | None = None,
    strategy: str = "auto",
) -> dict[str, float]:
    """Score checkpoints of a run and append the scores to its folder.

    Args:
        run_dir: String, the run folder.
        checkpoint: `"last"`, `"best"`, `"initial"` or the number of an epoch;
            or several, `"all"` or `"last5"`, as of `selected`.
        data_dir: String, folder of the data, if not the run's.
        strategy: Spec of a strategy.

    Returns:
        Dict of metric to value; of several checkpoints the mean over the
        last five.

    Raises:
        InputError: If the folder, the checkpoint or the data are not there.
    """
    opened = open_run(run_dir, checkpoint, data_dir, strategy)
    return conclude(opened.run, checkpoint, [*scored(opened, checkpoint)])


def attempt_folder(run_dir: str, attempt: int | None) -> str:
    """Return where an attempt of an auto-tuned run is.

    Args:
        run_dir: String, a run folder, auto-tuned or not.
        attempt: Integer; `None` for the final one.

    Returns:
        String, a folder; of a run that is not auto-tuned, its own.

    Raises:
        InputError: If there is no such attempt.
    """
    run = RunDirectory(run_dir)
    if parse_spec(run.read_config().auto_tune).name == "none":
        if attempt is not None:
            raise InputError(
                "Argument `attempt` needs the folder of an auto-tuned run. "
                f"Received: attempt={attempt}, run_dir={run_dir!r}"
            )
        return run_dir
    if attempt is None:
        summary = run.read_summary()
        if summary is None:
            raise InputError(
                f"Auto-tune in {run_dir!r} has found no architecture. "
                "Expected `--attempt` with the number of an attempt."
            )
        attempt = summary["final_attempt"]
    return str(run.attempt(attempt).path)


def open_run(
    run_dir: str, checkpoint: str, data_dir: str | None, strategy: str
) -> OpenedRun:
    """Build the data and the model of a run; arguments as `evaluate_run`."""
    if parse_spec(strategy).name == "multi_worker":
        raise InputError(
            "A run of several machines is evaluated on one. Expected "
            f"`none` or `mirrored`. Received: strategy={strategy!r}"
        )
    run = RunDirectory(run_dir)
    config = run.read_config()
    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=data_dir)
    # Data and model take a while, a missing checkpoint is known at once.
    folder = CheckpointFolder(run.checkpoints)
    for name in selected(folder, checkpoint):
        folder.require(name)
    scope = distribute.build(strategy)
    data = build_data(config, scope.num_replicas_in_sync)
    with scope.scope():
        model = assembly.build_model(config, data.source)
        compilation.compile_model(
            model,
            config,
            data.training_length(),
            data.source.num_classes,
        )
    return OpenedRun(run, config, data, model)


def selected(folder: CheckpointFolder, checkpoint: str) -> list[str]:
    """Return the names of the checkpoints that are meant, in order of time.

    Args:
        folder: `CheckpointFolder`.
        checkpoint: The name of one; or `"all"` for the initial one, all
            numbered ones and the last; or `"last5"` for the last five of
            these without the initial one. `best` repeats one of them.

    Returns:
        List of names.
    """
    if checkpoint not in (ALL, LAST_FIVE):
        return [checkpoint]
    numbered = [name for name in folder.names() if name.isdigit()]
    trained = [*numbered, LAST]
    meta = folder.load(LAST).meta
    if str(meta["epoch"]) in numbered and not meta["batch"]:
        trained.remove(LAST)
    if checkpoint == LAST_FIVE:
        return trained[-AVERAGED:]
    return [INITIAL, *trained]


def load_checkpoint(opened: OpenedRun, name: str) -> dict[str, Any]:
    """Give the model of a run the weights of a checkpoint, return its meta."""
    arrays, meta = CheckpointFolder(opened.run.checkpoints).load(name)
    write_all(model_variables(opened.model), arrays)
    return meta


def scored(opened: OpenedRun, checkpoint: str) -> Iterator[Scored]:
    """Load and score one checkpoint after the other, and note the scores.

    Args:
        opened: `OpenedRun`. Its model holds the checkpoint that was yielded
            last.
        checkpoint: As of `selected`.

    Yields:
        `Scored`, in order of time.
    """
    run, _, data, model = opened
    for name in selected(CheckpointFolder(run.checkpoints), checkpoint):
        meta = load_checkpoint(opened, name)
        with data.decoded():
            scores = model.evaluate(data.test, return_dict=True, verbose=0)
        record(run, name, "test", scores)
        print_scores(f"{run.path} {name}", scores, len(data.source.test))
        yield Scored(name, meta["step"], scores)


def conclude(
    run: RunDirectory, checkpoint: str, results: list[Scored]
) -> dict[str, float]:
    """Average over the last five trained checkpoints, if several are meant.

    Args:
        run: `RunDirectory`.
        checkpoint: As of `selected`.
        results: List of `Scored`, in order of time.

    Returns:
        Dict of metric to value.
    """
    if checkpoint not in (ALL, LAST_FIVE):
        return results[-1].scores
    trained = [result for result in results if result.name != INITIAL]
    last = [result.scores for result in trained[-AVERAGED:]]
    means = {
        name: float(np.mean([scores[name] for scores in last]))
        for name in last[0]
    }
    record(run, LAST_FIVE, "test", means)
    values = "  ".join(f"{name} {means[name]:.4f}" for name in sorted(means))
    print(f"{run.path} mean of the last {len(last)}: test  {values}")
    return means


def print_scores(what: str, scores: dict[str, float], number: int) -> None:
    """Print one line."""
    values = "  ".join(f"{name} {scores[name]:.4f}" for name in sorted(scores))
    print(f"{what}: test  {values}  ({number} examples)")
