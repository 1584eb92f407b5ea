"""Strategies of `tf.distribute`, and what several machines need."""

from cb.distribute.strategies import REGISTRY
from cb.distribute.strategies import build

__all__ = ["REGISTRY", "build"]
