"""Strategies of `tf.distribute`, and training on several machines."""

from cb.distribute.strategies import REGISTRY
from cb.distribute.strategies import build

__all__ = ["REGISTRY", "build"]
