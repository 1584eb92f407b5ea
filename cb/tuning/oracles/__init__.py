"""Oracles of keras-tuner: what to try next, one file each."""

from cb.registry import Registry

# What the one who builds an oracle gives it, not the text of its spec.
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
)

names = REGISTRY.names
build = REGISTRY.build
