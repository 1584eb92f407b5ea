"""Runs sparse networks on the processor, without Keras and TensorFlow."""

from cb.engine.graph import Graph
from cb.engine.graph import Node
from cb.engine.graph import connect

__all__ = ["Graph", "Node", "connect"]
