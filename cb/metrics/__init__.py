"""Keras metrics, and the functions underneath."""

from cb.metrics.entropy import BundleEntropy
from cb.metrics.entropy import bundle_entropy

__all__ = ["BundleEntropy", "bundle_entropy"]
