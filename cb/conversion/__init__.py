"""From a dense Keras model to a sparse one, and back."""

from cb.conversion.dense import strip
from cb.conversion.report import Report
from cb.conversion.sparse import sparsify
from cb.conversion.sparse import sparsify_layers
from cb.conversion.tied import tie
from cb.registry import Registry
from cb.sparsity.amount import parse_sparsity

# What the flags of a run fill, whichever way its model is made smaller.
WEIGHT_SHARING = Registry(
    "weight sharing",
    "cb.conversion.tied",
    given=(
        "model",
        "sparsity",
        "distribution",
        "include",
        "exclude",
        "granularity",
        "seed",
        "first_dense",
        "last_dense",
        "rounding",
        "regularization",
        "rescale_weights",
        "report",
    ),
    elsewhere={
        "none": "cb.conversion.sparse:sparsify",
        "tied": "cb.conversion.tied:tie",
    },
)

__all__ = [
    "WEIGHT_SHARING",
    "Report",
    "parse_sparsity",
    "sparsify",
    "sparsify_layers",
    "strip",
    "tie",
]
