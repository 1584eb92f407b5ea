"""Parts chosen by name, with their hyperparameters as typed literals."""

from cb.registry.annotations import Interval
from cb.registry.annotations import check
from cb.registry.arguments import accepted
from cb.registry.arguments import bind
from cb.registry.arguments import check_arguments
from cb.registry.arguments import complete
from cb.registry.arguments import nothing
from cb.registry.arguments import one_of
from cb.registry.arguments import unknown
from cb.registry.lazy import lazy_import
from cb.registry.parts import Registry
from cb.registry.parts import registered_names
from cb.registry.ranges import Count
from cb.registry.ranges import Fraction
from cb.registry.ranges import Natural
from cb.registry.ranges import NotNegative
from cb.registry.ranges import OpenFraction
from cb.registry.ranges import Positive
from cb.registry.ranges import Rate
from cb.registry.specs import Spec
from cb.registry.specs import parse_spec

__all__ = [
    "Count",
    "Fraction",
    "Interval",
    "Natural",
    "NotNegative",
    "OpenFraction",
    "Positive",
    "Rate",
    "Registry",
    "Spec",
    "accepted",
    "bind",
    "check",
    "check_arguments",
    "complete",
    "lazy_import",
    "nothing",
    "one_of",
    "parse_spec",
    "registered_names",
    "unknown",
]
