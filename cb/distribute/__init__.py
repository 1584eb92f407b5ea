"""Strategies of `tf.distribute`, and what several machines need."""

from cb.distribute.strategies import REGISTRY
from cb.distribute.strategies import build
from cb.distribute.strategies import names

__all__ = ["REGISTRY", "build", "names"]
