"""Reallocation algorithms, one file each, found by themselves."""

from cb.registry import Registry
from cb.sparsity.reallocation.base import Reallocation

REGISTRY = Registry("reallocation algorithm", __name__)

names = REGISTRY.names
build = REGISTRY.build
get = REGISTRY.get

__all__ = ["REGISTRY", "Reallocation", "build", "get", "names"]
