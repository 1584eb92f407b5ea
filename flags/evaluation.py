"""What is evaluated, and on what."""

from typing import Any

from absl import flags

from cb.errors import InputError

flags.DEFINE_string("run_dir", None, "Folder of a run.")
flags.DEFINE_string(
    "saved_model", None, "Folder of a SavedModel; needs --dataset."
)
flags.DEFINE_string(
    "checkpoint",
    None,
    "last, best, initial or the number of an epoch; or several: last5, or all "
    "(initial, numbered and last). Of several the mean score of the last five "
    "is given too. Default: last, or all where conflicting layers are asked "
    "for.",
)
flags.DEFINE_bool(
    "all_conflict_layers",
    None,
    "Measure the bundles of all layers, or if False of the last layer.",
)
flags.DEFINE_integer(
    "conflicting_samples_size",
    None,
    "How many training examples to measure bundles with, 64 by default; of "
    "the last layer without --all_conflict_layers.",
)
flags.DEFINE_bool(
    "published_columns",
    None,
    "Also write test.csv and conflicting_layers.csv with the columns of the "
    "published code, into the folder published/ of the run.",
)
flags.DEFINE_string(
    "lesion",
    None,
    "Score a checkpoint without some of its blocks: 'lesion', or for example "
    "\"lesion(blocks=2, draws=10, among='conflicting')\". Of conflicting, "
    "non-conflicting and any blocks, drop random ones.",
)
flags.DEFINE_string(
    "export",
    None,
    "Write a checkpoint as a SavedModel into the run's export/: dense, "
    "compact (without dead units), sparse (only what is not zero), or auto, "
    "whichever plain TensorFlow runs fastest here.",
)
flags.DEFINE_list(
    "export_batch_sizes", ["1", "128"], "Examples in a call, for --export."
)
flags.DEFINE_bool(
    "profile",
    False,
    "Also print what the model costs: parameters, operations, storage and "
    "the time of one example.",
)
flags.DEFINE_integer(
    "attempt",
    None,
    "Which attempt of an auto-tuned run; by default the final one.",
)
flags.DEFINE_string("dataset", None, "Data set for --saved_model.")
flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")
flags.DEFINE_string(
    "augmentation",
    None,
    "What the --saved_model was trained with; default: what the run was in "
    "whose folder it is, or none.",
)
flags.DEFINE_string(
    "strategy", "auto", "Devices, as in training: auto, none, mirrored(...)."
)
flags.DEFINE_integer(
    "batch_size", 100, "Examples in a batch, for --saved_model."
)

OF_RUNS = ("attempt", "checkpoint", "strategy")
OF_SAVED_MODELS = ("augmentation", "batch_size", "dataset")
CONFLICTS = {
    "all_conflict_layers": "all_layers",
    "conflicting_samples_size": "num_samples",
    "published_columns": "published_columns",
}


def check() -> None:
    """Raise `InputError` where flags do not go together."""
    values = flags.FLAGS
    if (values.run_dir is None) == (values.saved_model is None):
        raise InputError("Expected either `--run_dir` or `--saved_model`.")
    _check_alone("saved_model", "run_dir", OF_RUNS)
    _check_alone("run_dir", "saved_model", OF_SAVED_MODELS)
    if values.saved_model and not values.dataset:
        raise InputError("Argument `saved_model` needs `--dataset`.")
    if values.saved_model and (values.lesion or conflicts()):
        raise InputError(
            "Conflicting layers and lesions are those of a `--run_dir`."
        )
    if values.export and (
        values.saved_model or values.lesion or values.profile or conflicts()
    ):
        raise InputError("Argument `export` needs `--run_dir` alone.")
    if values["export_batch_sizes"].present and not values.export:
        raise InputError("Argument `export_batch_sizes` needs `--export`.")
    if values.export:
        export()
    if values.profile and (values.saved_model or values.lesion or conflicts()):
        raise InputError(
            "Argument `profile` needs a `--run_dir`, and neither lesions nor "
            "conflicting layers are measured with it."
        )
    for name in ("all_conflict_layers", "published_columns"):
        if values.lesion and values[name].value is not None:
            raise InputError(f"Expected `--lesion` or `--{name}`, not both.")


def _check_alone(given: str, needed: str, names: tuple[str, ...]) -> None:
    """Raise `InputError` for flags that have no meaning with what is given."""
    values = flags.FLAGS
    for name in names:
        if values[given].present and values[name].present:
            raise InputError(
                f"Argument `{name}` needs `--{needed}`. "
                f"Received: {name}={values[name].value!r} with `--{given}`"
            )


def conflicts() -> dict[str, Any]:
    """Return what was asked for about conflicting layers, by argument.

    Returns:
        Dict of the arguments of `evaluate_conflicts` or `evaluate_lesion` in
        `cb.evaluation` that were given; empty if no flag was.
    """
    values = flags.FLAGS
    return {
        argument: values[name].value
        for name, argument in CONFLICTS.items()
        if values[name].value is not None
    }


def export() -> dict[str, Any]:
    """Return what was asked for about an export, by argument.

    Returns:
        Dict of the arguments of `cb.evaluation.export.export_run`.

    Raises:
        InputError: If the batch sizes are no positive integers.
    """
    values = flags.FLAGS
    texts = values.export_batch_sizes
    sizes = [int(text) if text.strip().isdecimal() else 0 for text in texts]
    if not sizes or min(sizes) < 1:
        raise InputError(
            "Argument `export_batch_sizes` must be positive integers. "
            f"Received: {','.join(texts)!r}"
        )
    return {"form": values.export, "batch_sizes": sizes}
