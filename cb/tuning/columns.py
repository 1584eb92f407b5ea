"""Columns of results in figures: their names and scales."""

from collections.abc import Sequence

from cb.tuning.reading import Sweep

ERROR, INFERENCE, TRAINING = "Error", "Inference", "Training"
TEXT = {
    ERROR: "error",
    INFERENCE: "FLOPs of inference",
    TRAINING: "FLOPs of training",
}


def text_of(column: str) -> str:
    """Return the name of a column in figures."""
    return TEXT.get(column, column)


def spanning(sweeps: Sequence[Sweep], **axes: str) -> str:
    """Return the axes whose values span a factor of a hundred."""
    found = ""
    for axis, column in axes.items():
        values = [p.means[column] for one in sweeps for p in one.points]
        if min(values) > 0 and max(values) > 100 * min(values):
            found += axis
    return found
