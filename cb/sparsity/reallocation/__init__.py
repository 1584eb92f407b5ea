"""Reallocation algorithms, one file each, found by their registered name."""

from cb.registry import Registry
from cb.sparsity.reallocation.base import Algorithm

REGISTRY = Registry("reallocation algorithm", __name__)

names = REGISTRY.names
build = REGISTRY.build
get = REGISTRY.get

# The former name of the base class, for one version.
Reallocation = Algorithm

__all__ = ["REGISTRY", "Algorithm", "build", "get", "names"]
