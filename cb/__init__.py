"""Sparse and large-batch training on Keras 3.

Nothing heavy is imported until it is used, so that a command can list its
flags without TensorFlow.
"""

import importlib

__version__ = "0.1.0"

_ATTRIBUTES = {
    "auto_tune": ("cb.auto_tuning.loop", "auto_tune"),
    "sparsify": ("cb.conversion", "sparsify"),
    "sparsify_layers": ("cb.conversion", "sparsify_layers"),
    "strip": ("cb.conversion", "strip"),
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

__all__ = [*_ATTRIBUTES, *_PACKAGES]


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
