"""Oracles of keras-tuner by name, one file each."""

from typing import Annotated

from cb.registry import Count
from cb.registry import Interval
from cb.registry import NotNegative
from cb.registry import Positive
from cb.registry import Registry

# Arguments that the caller of `build` gives, not the text of a spec.
GIVEN = (
    "objective",
    "max_trials",
    "hyperparameters",
    "seed",
    "allow_new_entries",
    "tune_new_entries",
    "max_retries_per_trial",
    "max_consecutive_failed_trials",
    "max_epochs",
    "constraints",
)

REGISTRY = Registry(
    "oracle",
    __name__,
    given=GIVEN,
    elsewhere={
        "bayesian": "keras_tuner.oracles:BayesianOptimizationOracle",
        "grid": "keras_tuner.oracles:GridSearchOracle",
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
