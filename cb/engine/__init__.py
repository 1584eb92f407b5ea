"""Runs sparse networks on the processor, without Keras and TensorFlow."""

import importlib

from cb.engine.graph import Graph
from cb.engine.graph import Node
from cb.engine.graph import connect
from cb.kernels.threads import require_numba

# Name of the file in the folder of an export.
NAME = "cb_engine.npz"
__all__ = ["Graph", "Network", "Node", "connect", "load"]
# What needs Numba, whose import takes as long as all else.
_COMPILED = {"Network": "cb.engine.network", "load": "cb.engine.file"}


def __getattr__(name):
    if name in _COMPILED:
        require_numba()
        return getattr(importlib.import_module(_COMPILED[name]), name)
    raise AttributeError(f"Module 'cb.engine' has no attribute {name!r}")
