"""Parts chosen by name, with their hyperparameters as typed literals."""

from cb.registry.annotations import Interval
from cb.registry.annotations import check
from cb.registry.parts import Registry
from cb.registry.parts import accepted
from cb.registry.parts import bind
from cb.registry.parts import complete
from cb.registry.parts import registered_names
from cb.registry.parts import unknown
from cb.registry.specs import Spec
from cb.registry.specs import parse_spec

__all__ = [
    "Interval",
    "Registry",
    "Spec",
    "accepted",
    "bind",
    "check",
    "complete",
    "parse_spec",
    "registered_names",
    "unknown",
]
