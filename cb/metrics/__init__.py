"""Keras metrics, and the functions underneath."""

from cb.bundles.entropy import bundle_entropy

__all__ = ["bundle_entropy"]
