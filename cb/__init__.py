"""Sparse and large-batch training on Keras 3.

Nothing heavy is imported until it is used, so that a command can list its
flags without TensorFlow. Files with objects of ours load all the same once
`cb` and `keras` are imported, in either order.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING
from typing import Any

import wrapt

if TYPE_CHECKING:
    # What editors and type checkers see of the names below.
    from cb import callbacks as callbacks
    from cb import conversion as conversion
    from cb import costs as costs
    from cb import datasets as datasets
    from cb import export as export
    from cb import layers as layers
    from cb import metrics as metrics
    from cb import models as models
    from cb import optimization as optimization
    from cb import plots as plots
    from cb import sparsity as sparsity
    from cb import tuning as tuning
    from cb.auto_tuning.loop import auto_tune as auto_tune
    from cb.conversion import sparsify as sparsify
    from cb.conversion import sparsify_layers as sparsify_layers
    from cb.conversion import strip as strip
    from cb.conversion import strip_layers as strip_layers
    from cb.conversion import to_csr as to_csr
    from cb.conversion import to_masked as to_masked
    from cb.costs.model_table import summary as summary
    from cb.sparsity import reallocation as reallocation

__version__ = "0.2.0"

_ATTRIBUTES = {
    "auto_tune": ("cb.auto_tuning.loop", "auto_tune"),
    "sparsify": ("cb.conversion", "sparsify"),
    "sparsify_layers": ("cb.conversion", "sparsify_layers"),
    "strip": ("cb.conversion", "strip"),
    "strip_layers": ("cb.conversion", "strip_layers"),
    "summary": ("cb.costs.model_table", "summary"),
    "to_csr": ("cb.conversion", "to_csr"),
    "to_masked": ("cb.conversion", "to_masked"),
    "reallocation": ("cb.sparsity.reallocation", None),
}
_PACKAGES = (
    "callbacks",
    "conversion",
    "costs",
    "datasets",
    "engine",
    "export",
    "layers",
    "metrics",
    "models",
    "optimization",
    "plots",
    "sparsity",
    "tuning",
)
# The objects that Keras's files name, by the module that registers them.
_IN_FILES = {
    "cb.layers": """
        GhostBatchNormalization MaskedConv1D MaskedConv1DTranspose MaskedConv2D
        MaskedConv2DTranspose MaskedConv3D MaskedConv3DTranspose
        MaskedConvLSTM1D MaskedConvLSTM2D MaskedConvLSTM3D
        MaskedDense MaskedDepthwiseConv1D MaskedDepthwiseConv2D
        MaskedEinsumDense MaskedEmbedding MaskedGRU MaskedGRUCell
        MaskedGroupQueryAttention MaskedLSTM MaskedLSTMCell
        MaskedMultiHeadAttention MaskedRNN MaskedReversibleEmbedding MasksInside
        MaskedSeparableConv1D MaskedSeparableConv2D MaskedSimpleRNN
        MaskedSimpleRNNCell NeuralODE SReLU SparseConv1D SparseConv2D
        SparseConv3D SparseDense SparseEinsumDense TiedConv2D TiedDense
    """,
    "cb.export.stand_ins": "OwnVariable Sized WithMask",
    "cb.layers.chunked_loss": "ChunkedLoss",
    "cb.layers.masked_recurrent": "MaskedConvLSTMCell",
    "cb.layers.regularizers": "GroupLasso",
    "cb.metrics": "BundleEntropy",
    "cb.models.wiring_graph": "NodeFilters",
    "cb.optimization.lookahead": "Lookahead",
    "cb.optimization.published_sgd": "PublishedSGD",
    "cb.optimization.radam": "RAdam",
    "cb.optimization.schedules": "Later PerUpdate Warmup",
    "cb.optimization.sequence": "Succession",
}

__all__ = [*_ATTRIBUTES, *_PACKAGES]


class _InFile:
    """Stands for a registered class until Keras reads a file that names it.

    Args:
        registered: Dict of Keras, from names to classes.
        name: String, the name.
        module: String, the module that registers the class.
    """

    def __init__(self, registered: dict[str, Any], name: str, module: str):
        self._registered = registered
        self._name = name
        self._module = module

    @property
    def from_config(self):
        """The method of the class."""
        importlib.import_module(self._module)
        return self._registered[self._name].from_config


def _register(keras: ModuleType) -> None:
    registered = keras.saving.get_custom_objects()
    for module, names in _IN_FILES.items():
        for name in names.split():
            key = f"cb>{name}"
            registered.setdefault(key, _InFile(registered, key, module))


wrapt.register_post_import_hook(_register, "keras")


if not TYPE_CHECKING:

    def __getattr__(name):
        if name in _ATTRIBUTES:
            path, attribute = _ATTRIBUTES[name]
            module = importlib.import_module(path)
            return getattr(module, attribute) if attribute else module
        if name in _PACKAGES:
            return importlib.import_module(f"cb.{name}")
        raise AttributeError(f"Module 'cb' has no attribute {name!r}")


def __dir__():
    return sorted(["__version__", *__all__])
