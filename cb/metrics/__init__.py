"""Keras metrics, and the functions underneath."""

from cb.metrics.bundle_entropy import BundleEntropy
from cb.metrics.bundle_entropy import bundle_entropy

__all__ = ["BundleEntropy", "bundle_entropy"]
