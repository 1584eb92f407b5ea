"""Oracles of keras-tuner by name, one file each."""

import inspect
from typing import Annotated

import keras_tuner

from cb.registry import Count
from cb.registry import Interval
from cb.registry import NotNegative
from cb.registry import Positive
from cb.registry import Registry

# Arguments that the caller of `build` gives, not the text of a spec.
GIVEN = (
    *inspect.signature(keras_tuner.Oracle).parameters,
    "max_epochs",
    "constraints",
)

REGISTRY = Registry(
    "oracle",
    __name__,
    given=GIVEN,
    elsewhere={
        "bayesian": "keras_tuner.oracles:BayesianOptimizationOracle",
        "hyperband": "keras_tuner.oracles:HyperbandOracle",
        "random": "keras_tuner.oracles:RandomSearchOracle",
    },
    library={
        "alpha": Positive,
        "beta": NotNegative,
        "factor": Annotated[int, Interval("[2, inf)")],
        "hyperband_iterations": Count,
        "num_initial_points": Count | None,
    },
)

names = REGISTRY.names
build = REGISTRY.build
