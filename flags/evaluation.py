"""What is evaluated, and on what."""

from typing import Any

from absl import flags

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
flags.DEFINE_integer(
    "attempt",
    None,
    "Which attempt of an auto-tuned run; by default the final one.",
)
flags.DEFINE_string("dataset", None, "Data set for --saved_model.")
flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")
flags.DEFINE_string(
    "strategy", "auto", "Devices, as in training: auto, none, mirrored(...)."
)
flags.DEFINE_integer(
    "batch_size", 100, "Examples in a batch, for --saved_model."
)

CONFLICTS = {
    "all_conflict_layers": "all_layers",
    "conflicting_samples_size": "num_samples",
}


def conflicts() -> dict[str, Any]:
    """Return what was asked for about conflicting layers, by argument.

    Returns:
        Dict of the arguments of `cb.conflicts.evaluate_conflicts` that were
        given; empty if no flag was.
    """
    values = flags.FLAGS
    return {
        argument: values[name].value
        for name, argument in CONFLICTS.items()
        if values[name].value is not None
    }
