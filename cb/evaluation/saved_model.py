"""Scores of a SavedModel on every test example of a data set."""

import os

import numpy as np
import tensorflow as tf

from cb import datasets
from cb.datasets.augmentation import Pipeline
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.pipeline import evaluation_batches
from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import one_line
from cb.evaluation.scores import print_scores
from cb.export.checking import load_graph
from cb.export.runtimes import open_file
from cb.runs.directory import RunDirectory
from cb.text import paragraph
from cb.training.data import build_chain
from cb.training.data import split
from cb.training.provenance import compared
from cb.training.provenance import described
from cb.training.scoring import score

SIGNATURE = "serving_default"


def evaluate_saved_model(
    path: str,
    dataset: str,
    data_dir: str | None = None,
    batch_size: int = 100,
    augmentation: str | None = None,
    accept_changed_data: bool = False,
) -> dict[str, float]:
    """Score a SavedModel of any origin on a data set.

    Args:
        path: String, its folder, or that of another form of `cb.export.save`.
            It maps features to logits, or to probabilities.
        dataset: Spec of a data set.
        data_dir: String, folder of the data.
        batch_size: Integer.
        augmentation: String, that of the training, as in `train.py`; by
            default that of the run in whose folder the model is, or none.
        accept_changed_data: Boolean, whether to score on data that are not
            those of that run.

    Returns:
        Dict of metric to value.

    Raises:
        InputError: If the model cannot be loaded or does not fit the data, or
            the data are not those of its run.
    """
    path = os.path.expanduser(path)
    source = datasets.load(dataset, data_dir)
    function = _signature(path)
    chain = _trained_chain(path, source, augmentation, accept_changed_data)
    chain = chain.evaluation()
    logits = []
    for features, _ in evaluation_batches(source.test, batch_size, chain=chain):
        try:
            logits.append(function(features))
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            reason = one_line(error)
            raise InputError(
                f"Argument `saved_model` does not fit data set "
                f"{source.name!r} with examples of shape "
                f"{source.input_shape}: {reason}"
            ) from error
    outputs = np.concatenate(logits)
    if outputs.shape != (len(source.test), source.num_classes):
        raise InputError(
            f"Argument `saved_model` must give a score to each of the "
            f"{source.num_classes} classes of data set {source.name!r}. "
            f"Received: outputs of shape {outputs.shape[1:]} an example"
        )
    scores = score(outputs, source.test.labels)
    print_scores(path, scores, len(source.test), source.num_classes)
    return scores


def _trained_chain(
    path: str, source: DatasetSplits, text: str | None, accepted: bool
) -> Pipeline:
    """Return the augmentations that a SavedModel was trained with.

    Raises:
        InputError: If it is that of a run on other data, not accepted.
    """
    run = RunDirectory(os.path.dirname(os.path.abspath(path)))
    if not run.config_file.exists():
        chain = build_chain(text or "none", source)
        return chain.fitted(source.train.features)
    config = run.read_config()
    limited = source.limited(config.limit_examples)
    examples, held_out = split(config, limited)
    data = described(limited, examples, held_out)
    for line in compared(run, {"data": data}, accepted):
        print(paragraph(line), flush=True)
    if text is not None:
        return build_chain(text, source).fitted(source.train.features)
    chain = build_chain(config.augmentation, source, config.model)
    return chain.fitted(examples.features)


def _signature(path: str):
    if (other := open_file(path)) is not None:
        return other
    if not os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise argument_error("saved_model", "the folder of a SavedModel", path)
    model = load_graph(path)
    if SIGNATURE not in model.signatures:
        raise InputError(
            f"Argument `saved_model` must have the signature {SIGNATURE!r}. "
            f"Received one with {sorted(model.signatures)}"
        )
    outputs = model.signatures[SIGNATURE].structured_outputs
    if len(outputs) != 1:
        raise InputError(
            "Argument `saved_model` must have one output. "
            f"Received one with {sorted(outputs)}"
        )
    [name, *_] = model.signatures[SIGNATURE].structured_input_signature[1]

    def function(features) -> np.ndarray:
        # The model stays alive as long as its function is used.
        outputs = model.signatures[SIGNATURE](**{name: features})
        return next(iter(outputs.values())).numpy()

    return function
