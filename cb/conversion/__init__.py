"""From a dense Keras model to a sparse one, and back."""

from cb.conversion.csr import to_csr
from cb.conversion.csr import to_masked
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

# What the flag of a run fills: how its masked layers are computed.
KERNELS = Registry(
    "kernels",
    "cb.conversion.csr",
    given=("model", "report"),
    elsewhere={
        "csr": "cb.conversion.csr:to_csr",
        "masked": "cb.conversion.csr:to_masked",
    },
)

__all__ = [
    "KERNELS",
    "WEIGHT_SHARING",
    "Report",
    "parse_sparsity",
    "sparsify",
    "sparsify_layers",
    "strip",
    "tie",
    "to_csr",
    "to_masked",
]
