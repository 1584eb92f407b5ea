"""Sweeps: spaces to search, oracles, experiments and their results."""

import importlib

_ORACLES = {
    "LatinHypercubeOracle": "cb.tuning.oracles.latin_hypercube",
    "ParetoOracle": "cb.tuning.oracles.pareto",
}

__all__ = [*_ORACLES]


def __getattr__(name):
    # Commands list their flags without keras-tuner, which takes seconds.
    if name in _ORACLES:
        return getattr(importlib.import_module(_ORACLES[name]), name)
    raise AttributeError(f"Module 'cb.tuning' has no attribute {name!r}")
