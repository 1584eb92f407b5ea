"""Evaluate checkpoints of a run, or a SavedModel, on every test example.

--lesion, --export, --all_conflict_layers and --profile measure more of a run.
"""

from .. import evaluation
from ..evaluation import Mode

FLAGS = (evaluation,)

MODES = (
    Mode(
        "saved_model",
        "saved_model:evaluate_saved_model",
        evaluation.OF_SAVED_MODELS,
        "Folder of a SavedModel to score; needs --dataset.",
        needs=("dataset",),
    ),
    Mode(
        "lesion",
        "lesion:evaluate_lesion",
        evaluation.OF_LESIONS,
        "Score a checkpoint without some of its blocks: lesion, or for "
        "example \"lesion(blocks=2, draws=10, among='conflicting')\".",
    ),
    Mode(
        "export",
        "export:export_run",
        evaluation.OF_EXPORTS,
        "Write a checkpoint into the run's export/: dense, compact (without "
        "dead units), sparse (nonzeros only), engine and engine_int8 "
        "(nonzeros, without TensorFlow), lite, lite_float16, lite_int8, onnx, "
        "openvino, or auto, the best here.",
    ),
    Mode(
        "all_conflict_layers",
        "conflicts:evaluate_conflicts",
        evaluation.OF_CONFLICTS,
        "Measure the bundles of all layers, or if False of the last layer.",
        boolean=True,
        checkpoint="all",
        chosen_by=evaluation.OF_CONFLICTS,
    ),
    Mode(
        "profile",
        "profile:evaluate_profile",
        {},
        "Also print parameters, operations, storage and time of an example.",
        boolean=True,
    ),
    Mode("run_dir", "scores:evaluate_scores", {}, "Folder of a run."),
)


def main():
    """Evaluate in the mode that the flags choose."""
    evaluation.chosen(MODES).evaluate()
