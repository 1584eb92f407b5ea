"""Bundles: examples that a layer cannot distinguish, and what to remove."""
