"""Sparse and large-batch training on Keras 3.

Nothing heavy is imported until it is used, so that a command can list its
flags without TensorFlow. Files with objects of ours load all the same once
`cb` and `keras` are imported, in either order.
"""

import importlib
from types import ModuleType
from typing import Any

import wrapt

__version__ = "0.1.0"

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
        MaskedSimpleRNNCell NeuralODE SparseDense TiedConv2D TiedDense
    """,
    "cb.export.stand_ins": "OwnVariable WithMask",
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


def __getattr__(name):
    if name in _ATTRIBUTES:
        path, attribute = _ATTRIBUTES[name]
        module = importlib.import_module(path)
        return getattr(module, attribute) if attribute else module
    if name in _PACKAGES:
        return importlib.import_module(f"cb.{name}")
    raise AttributeError(f"Module 'cb' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
