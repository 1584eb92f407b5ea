"""Scores of a trained model on every test example."""

import dataclasses
import os
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cb import compilation
from cb import datasets
from cb import distribute
from cb import experiment
from cb import inputs
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import write_all
from cb.config import Config
from cb.datasets.augmentation import Chain
from cb.datasets.pipeline import evaluation_batches
from cb.datasets.source import Source
from cb.errors import InputError
from cb.registry import parse_spec
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from cb.runs.metrics_csv import EVALUATION_HEADER
from cb.runs.metrics_csv import LongCsv

SIGNATURE = "serving_default"

# Names of checkpoints, and of several at once.
ALL, LAST_FIVE, INITIAL, LAST = "all", "last5", "initial", "last"
AVERAGED = 5


class OpenedRun(NamedTuple):
    """A run that is there, ready to take over its checkpoints.

    Attributes:
        run: `RunDirectory`.
        config: `Config` of the run.
        data: `experiment.Data`.
        model: Compiled Keras model.
    """

    run: RunDirectory
    config: Config
    data: experiment.Data
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
    data = experiment.build_data(config, scope.num_replicas_in_sync)
    with scope.scope():
        model = experiment.build_model(config, data.source)
        compilation.compile_model(
            model,
            config,
            data.horizon(),
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


def evaluate_saved_model(
    path: str,
    dataset: str,
    data_dir: str | None = None,
    batch_size: int = 100,
    augmentation: str | None = None,
) -> dict[str, float]:
    """Score a SavedModel, of whatever origin, on a data set.

    Args:
        path: String, its folder. It maps features to logits, or to
            probabilities.
        dataset: Spec of a data set.
        data_dir: String, folder of the data.
        batch_size: Integer.
        augmentation: What the model was trained with, as of `train.py`; by
            default that of the run in whose folder it is, or none.

    Returns:
        Dict of metric to value.

    Raises:
        InputError: If the model cannot be loaded or does not fit the data.
    """
    source = datasets.load(dataset, data_dir)
    function = _signature(path)
    chain = _trained_chain(path, source, augmentation).evaluation()
    logits = []
    for features, _ in evaluation_batches(source.test, batch_size, chain=chain):
        try:
            logits.append(function(features))
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"Argument `saved_model` does not fit data set "
                f"{source.name!r} with examples of shape "
                f"{source.input_shape}: {reason}"
            ) from error
    scores = score(np.concatenate(logits), source.test.labels)
    print_scores(path, scores, len(source.test))
    return scores


def score(outputs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return loss and accuracies of predictions.

    Args:
        outputs: Float array `(examples, classes)`, logits or probabilities.
        labels: Integer array `(examples,)`.

    Returns:
        Dict of metric to value.
    """
    sums = outputs.sum(axis=1, dtype=np.float64)
    probabilities = bool(
        np.all(outputs >= 0) and np.allclose(sums, 1.0, atol=1e-3)
    )
    losses = keras.losses.sparse_categorical_crossentropy(
        labels, outputs, from_logits=not probabilities
    )
    scores = {
        "accuracy": float(np.mean(outputs.argmax(axis=1) == labels)),
        "loss": float(np.mean(losses, dtype=np.float64)),
    }
    if outputs.shape[1] > compilation.TOP:
        hits = keras.metrics.sparse_top_k_categorical_accuracy(
            labels, outputs, k=compilation.TOP
        )
        scores[f"top_{compilation.TOP}_accuracy"] = float(np.mean(hits))
    return scores


def record(
    run: RunDirectory, checkpoint: str, split: str, scores: dict[str, float]
) -> None:
    """Append scores to `evaluation.csv`."""
    LongCsv(run.evaluation_file, EVALUATION_HEADER, run.writes).append(
        (checkpoint, split, name, value) for name, value in scores.items()
    )


def print_scores(what: str, scores: dict[str, float], number: int) -> None:
    """Print one line."""
    values = "  ".join(f"{name} {scores[name]:.4f}" for name in sorted(scores))
    print(f"{what}: test  {values}  ({number} examples)")


def _trained_chain(path: str, source: Source, text: str | None) -> Chain:
    """Return what the examples went through that a SavedModel was given."""
    run = RunDirectory(os.path.dirname(os.path.abspath(path)))
    if text is not None or not run.config_file.exists():
        chain = inputs.build_chain(text or "none", source)
        return chain.fitted(source.train.features)
    config = run.read_config()
    chain = inputs.build_chain(config.augmentation, source, config.model)
    examples, _ = inputs.split(config, source.limited(config.limit_examples))
    return chain.fitted(examples.features)


def _signature(path: str):
    if not os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise InputError(
            "Argument `saved_model` must be the folder of a SavedModel. "
            f"Received: saved_model={path!r}"
        )
    model = tf.saved_model.load(path)
    if SIGNATURE not in model.signatures:
        raise InputError(
            f"Argument `saved_model` must have the signature {SIGNATURE!r}. "
            f"Received one with {sorted(model.signatures)}"
        )
    signature = model.signatures[SIGNATURE]
    names = list(signature.structured_input_signature[1])

    def function(features) -> np.ndarray:
        # The model stays alive as long as its function is used.
        outputs = model.signatures[SIGNATURE](**{names[0]: features})
        return next(iter(outputs.values())).numpy()

    return function
