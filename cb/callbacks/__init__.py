"""Keras callbacks, usable in anyone's `fit`."""

from cb.callbacks.reallocation import Reallocation
from cb.callbacks.running_statistics import ReestimateStatistics
from cb.callbacks.weight_distance import WeightDistance

__all__ = ["Reallocation", "ReestimateStatistics", "WeightDistance"]
