"""Keras callbacks, usable in anyone's `fit`."""

from cb.callbacks.bundle_monitor import BundleMonitor
from cb.callbacks.reallocation import Reallocation

__all__ = ["BundleMonitor", "Reallocation"]
