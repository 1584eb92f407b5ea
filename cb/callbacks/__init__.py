"""Keras callbacks, usable in anyone's `fit`."""

from cb.callbacks.reallocation import Reallocation

__all__ = ["Reallocation"]
