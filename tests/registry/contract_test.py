"""What every registered part promises about its arguments, found by name."""

import collections.abc
import math
import types
import typing
from typing import Annotated
from typing import Any
from typing import Literal

import pytest

from cb import datasets
from cb import models
from cb.bundles import lesion
from cb.bundles import settings
from cb.conversion import options
from cb.conversion.csr import to_csr
from cb.conversion.tied import tie
from cb.datasets import augmentation
from cb.distribute import strategies
from cb.errors import InputError
from cb.layers import normalization
from cb.layers import regularizers
from cb.optimization import learning_rates
from cb.optimization import optimizers
from cb.registry import Interval
from cb.registry import Spec
from cb.registry import accepted
from cb.sparsity import distributions
from cb.sparsity import granularity
from cb.sparsity import reallocation
from cb.tuning import oracles
from tests.commands import run_code

REGISTRIES = [
    augmentation.REGISTRY,
    datasets.REGISTRY,
    distributions.REGISTRY,
    granularity.REGISTRY,
    learning_rates.REGISTRY,
    models.REGISTRY,
    optimizers.REGISTRY,
    oracles.REGISTRY,
    reallocation.REGISTRY,
    regularizers.REGISTRY,
    strategies.REGISTRY,
]
# Arguments that parts insist on.
REQUIRED = {
    "factors": {0: 1.0},
    "label": "class",
    "mean": 0.5,
    "name": "mnist",
    "path": "folder",
    "size": 8,
    "std": 0.5,
}
# Parts that are no members of a registry: name, callable, what binds a spec,
# and the parameters that its caller gives.
SINGLE = [
    ("auto_tune", settings.Settings, settings.complete, ()),
    ("lesion", lesion.Lesion, lesion.parse, ()),
    ("ghost", normalization.ghost, normalization.complete, ("model", "batch")),
    ("csr", to_csr, options.kernels, ("model", "report")),
    (
        "tied",
        tie,
        options.weight_sharing,
        ("model", "sparsity", "include", "exclude", "granularity", "seed"),
    ),
]
PARTS = [
    (registry.kind, name)
    for registry in REGISTRIES
    for name in registry.names()
]


def found(kind, name):
    """Return a part, what binds a spec of it, and the parameters of specs."""
    for single, target, bind, given in SINGLE:
        if (kind, name) == ("single", single):
            return target, bind, accepted(target, given)
    (registry,) = [one for one in REGISTRIES if one.kind == kind]
    return registry.get(name), registry.bind, registry.parameters(name)


def every_part(function):
    singles = [("single", name) for name, *_ in SINGLE]
    return pytest.mark.parametrize("kind, name", [*PARTS, *singles])(function)


def kinds(annotation):
    """Return the plain types in an annotation, outside of containers."""
    origin, arguments = (
        typing.get_origin(annotation),
        typing.get_args(annotation),
    )
    if origin is Annotated:
        return kinds(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(kinds, arguments))
    if origin is Literal:
        return {Literal, *map(type, arguments)}
    return {origin or annotation}


def lowest(annotation):
    """Return the least number that an annotation allows anywhere."""
    arguments = typing.get_args(annotation)
    bounds = [float(a._low) for a in arguments if isinstance(a, Interval)]
    nested = [lowest(a) for a in arguments if typing.get_args(a)]
    bounds += [bound for bound in nested if bound is not None]
    return min(filter(math.isfinite, bounds), default=None)


def wrong_values(annotation):
    """List values of types that an annotation does not have."""
    known = kinds(annotation)
    yield from (math.nan, b"bytes", [None], (None, "x", True), {"?": None})
    yield from ({1}, 1j, object)
    if bool not in known:
        yield True
    if not known & {int, float}:
        yield 3
    if float not in known:
        yield 1.5
    if str not in known or Literal in known:
        yield "no such value"
    if type(None) not in known:
        yield None
    if known & {int, float} and (low := lowest(annotation)) is not None:
        yield math.floor(low) - 1
    if not known & {tuple, list, collections.abc.Sequence}:
        yield [1, 2]


@every_part
def test_every_wrong_value_is_one_clear_line(kind, name):
    _, bind, parameters = found(kind, name)
    required = {
        key: REQUIRED[key]
        for key, parameter in parameters.items()
        if parameter.default is parameter.empty
    }
    for key, parameter in parameters.items():
        for value in wrong_values(parameter.annotation):
            spec = Spec(name, (), {**required, key: value})
            with pytest.raises(InputError) as error:
                bind(spec)
            message = str(error.value)
            assert message.startswith(f"Argument `{key}` of "), message
            assert f"`{name}` must be " in message
            assert f"Received: {key}={value!r}" in message
            assert "\n" not in message


@every_part
def test_defaults_are_what_annotations_allow(kind, name):
    _, bind, parameters = found(kind, name)
    defaults = {
        key: REQUIRED[key]
        if parameter.default is parameter.empty
        else parameter.default
        for key, parameter in parameters.items()
    }
    bind(Spec(name, (), defaults))


@every_part
def test_every_parameter_of_ours_is_annotated(kind, name):
    target, _, parameters = found(kind, name)
    for parameter in parameters.values():
        assert parameter.annotation is not parameter.empty, parameter
    if target.__module__.startswith("cb."):
        own = getattr(target, "__annotations__", {})
        for key, parameter in accepted(target).items():
            assert parameter.annotation is not Any, key
            inherited = key not in own and isinstance(target, type)
            assert inherited or parameter.annotation is not parameter.empty


@every_part
def test_descriptions_follow_must_be(kind, name):
    from cb.registry.annotations import describe

    _, _, parameters = found(kind, name)
    for parameter in parameters.values():
        text = describe(parameter.annotation)
        assert text and "<" not in text and "typing" not in text


LIGHT = """
import sys
from cb import datasets
from cb.bundles import lesion, settings
from cb.datasets import augmentation, preparation
from cb.optimization import learning_rates
from cb.registry import Spec
from cb.sparsity import distributions, granularity, reallocation

REQUIRED = {required!r}
number = 0
for module in (augmentation, datasets, distributions, granularity,
               learning_rates, reallocation):
    registry = module.REGISTRY
    for name in registry.names():
        needed = {{
            key: REQUIRED[key]
            for key, parameter in registry.parameters(name).items()
            if parameter.default is parameter.empty
        }}
        registry.complete(Spec(name, (), needed))
        number += 1
settings.complete("auto_tune")
lesion.parse("lesion")
preparation.complete("pad_crop(4)|flip|mixup(0.2)")
assert number > 40, number
heavy = {{"tensorflow", "keras"}} & sys.modules.keys()
assert not heavy, heavy
"""


def test_these_specs_are_checked_without_tensorflow():
    run_code(LIGHT.format(required=REQUIRED))
