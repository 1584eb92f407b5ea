"""Scores of a trained model on every test example."""

import dataclasses
import os

import keras
import numpy as np
import tensorflow as tf

from cb import compilation
from cb import datasets
from cb import distribute
from cb import experiment
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import write_all
from cb.datasets.pipeline import evaluation_batches
from cb.errors import InputError
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from cb.runs.metrics_csv import EVALUATION_HEADER
from cb.runs.metrics_csv import LongCsv

SIGNATURE = "serving_default"


def evaluate_run(
    run_dir: str,
    checkpoint: str = "last",
    data_dir: str | None = None,
    strategy: str = "auto",
) -> dict[str, float]:
    """Score a checkpoint of a run and append the scores to its folder.

    Args:
        run_dir: String, the run folder.
        checkpoint: `"last"`, `"best"`, `"initial"` or the number of an epoch.
        data_dir: String, folder of the data, if not the run's.
        strategy: Spec of a strategy.

    Returns:
        Dict of metric to value.

    Raises:
        InputError: If the folder, the checkpoint or the data are not there.
    """
    run = RunDirectory(run_dir)
    config = run.read_config()
    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=data_dir)
    arrays = CheckpointFolder(run.checkpoints).load(checkpoint).arrays
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
    write_all(model_variables(model), arrays)
    scores = model.evaluate(data.test, return_dict=True, verbose=0)
    record(run, checkpoint, "test", scores)
    print_scores(f"{run.path} {checkpoint}", scores, len(data.source.test))
    return scores


def evaluate_saved_model(
    path: str,
    dataset: str,
    data_dir: str | None = None,
    batch_size: int = 100,
) -> dict[str, float]:
    """Score a SavedModel, of whatever origin, on a data set.

    Args:
        path: String, its folder. It maps features to logits, or to
            probabilities.
        dataset: Spec of a data set.
        data_dir: String, folder of the data.
        batch_size: Integer.

    Returns:
        Dict of metric to value.

    Raises:
        InputError: If the model cannot be loaded or does not fit the data.
    """
    source = datasets.load(dataset, data_dir)
    function = _signature(path)
    logits = []
    for features, _ in evaluation_batches(source.test, batch_size):
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
    LongCsv(run.evaluation_file, EVALUATION_HEADER).append(
        (checkpoint, split, name, value) for name, value in scores.items()
    )


def print_scores(what: str, scores: dict[str, float], number: int) -> None:
    """Print one line."""
    values = "  ".join(f"{name} {scores[name]:.4f}" for name in sorted(scores))
    print(f"{what}: test  {values}  ({number} examples)")


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
