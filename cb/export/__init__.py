"""Exports: SavedModels, files of other runtimes, networks for the engine.

Nothing is imported until it is used: networks for the engine load without Keras
and TensorFlow.
"""

import importlib

_MODULES = {
    "Comparison": "comparison",
    "CompactionReport": "compaction_report",
    "LoadedModel": "loaded_model",
    "compact": "compaction",
    "compare": "saving",
    "load": "any_form",
    "quantize": "quantization",
    "save": "saving",
    "save_lite": "lite",
    "two_of_four": "interchange",
}

__all__ = [*_MODULES]


def __getattr__(name):
    if name in _MODULES:
        module = importlib.import_module(f"cb.export.{_MODULES[name]}")
        return getattr(module, name)
    raise AttributeError(f"Module 'cb.export' has no attribute {name!r}")
