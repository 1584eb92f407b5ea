"""From a dense Keras model to a sparse one, and back."""

from cb.conversion.dense import strip
from cb.conversion.report import Report
from cb.conversion.sparse import sparsify
from cb.conversion.sparse import sparsify_layers
from cb.conversion.targets import parse_sparsity
from cb.conversion.tied import tie

__all__ = [
    "Report",
    "parse_sparsity",
    "sparsify",
    "sparsify_layers",
    "strip",
    "tie",
]
