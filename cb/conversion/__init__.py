"""From a dense Keras model to a sparse one, and back."""

from cb.conversion.csr import to_csr
from cb.conversion.csr import to_masked
from cb.conversion.dense import load_dense_weights
from cb.conversion.dense import strip
from cb.conversion.dense import strip_layers
from cb.conversion.report import Report
from cb.conversion.sparse import sparsify
from cb.conversion.sparse import sparsify_layers
from cb.conversion.tied import tie
from cb.sparsity.amount import parse_sparsity

__all__ = [
    "Report",
    "parse_sparsity",
    "load_dense_weights",
    "sparsify",
    "sparsify_layers",
    "strip",
    "strip_layers",
    "tie",
    "to_csr",
    "to_masked",
]
