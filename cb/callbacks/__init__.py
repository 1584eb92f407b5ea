"""Keras callbacks for the `fit` of any model."""

from cb.callbacks.auto_tune import AutoTune
from cb.callbacks.bundle_monitor import BundleMonitor
from cb.callbacks.reallocation.callback import Reallocation
from cb.callbacks.running_statistics import ReestimateStatistics
from cb.callbacks.weight_distance import WeightDistance

__all__ = [
    "AutoTune",
    "BundleMonitor",
    "Reallocation",
    "ReestimateStatistics",
    "WeightDistance",
]
