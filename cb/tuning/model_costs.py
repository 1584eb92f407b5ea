"""Costs of models as objectives of keras-tuner.

An oracle of keras-tuner never sees a model: its tuner builds and trains it, and
reports what `fit` returns. So the tuner's method that does both is extended,
for oracles whose objective asks for costs.
"""

import os
import tempfile
from collections.abc import Iterable
from typing import Any

import keras
import keras_tuner
import wrapt
from keras_tuner.src.engine.objective import MultiObjective

from cb.costs import costs
from cb.errors import InputError
from cb.export.saving import compare
from cb.tuning.objectives import INFERENCE

LATENCY = "latency"
# The other forms that plain TensorFlow runs.
PLAIN = ("compact", "sparse")
COUNTED = {
    INFERENCE: lambda found: found.flops,
    "parameters": lambda found: found.parameters,
    "storage_bytes": lambda found: found.weights.csr_bytes,
}


class ObjectivesWithCosts(MultiObjective):
    """Several objectives of which some are costs of the model.

    The best epoch of a training is that of the others.

    Args:
        objectives: List of `keras_tuner.Objective`.
    """

    def has_value(self, logs):
        """Tell whether the logs of an epoch have all that is no cost."""
        return all(
            name in logs for name in self.name_to_direction if not is_cost(name)
        )


def is_cost(name: str) -> bool:
    """Tell whether a metric is a cost that a model alone decides."""
    return name in COUNTED or name == LATENCY


def with_costs(
    objective: keras_tuner.Objective, constrained: Iterable[str]
) -> Any:
    """Return an objective for which costs are measured.

    Args:
        objective: `keras_tuner.Objective`, of one metric or several.
        constrained: Iterable of strings, other metrics that are needed.

    Returns:
        `keras_tuner.Objective` with `costs`, a tuple of strings.
    """
    single = not isinstance(objective, MultiObjective)
    parts = [objective] if single else objective.objectives
    names = [*(part.name for part in parts), *constrained]
    found: Any = objective if single else ObjectivesWithCosts(parts)
    found.costs = tuple(dict.fromkeys(filter(is_cost, names)))
    return found


def measured(model: keras.Model, names: Iterable[str]) -> dict[str, float]:
    """Measure costs of a model.

    Args:
        model: Built Keras model.
        names: Iterable of strings, of `COUNTED`, or `LATENCY`.

    Returns:
        Dict of name to value.

    Raises:
        InputError: If an operation of the model cannot be counted, or it
            cannot be exported.
    """
    names = [*names]
    found = {}
    if {*names} & {*COUNTED}:
        counted = costs(model)
        if INFERENCE in names and counted.unknown:
            raise InputError(
                "Objective `inference_flops` needs operations that can be "
                f"counted. Received: {counted.unknown}"
            )
        found = {
            name: float(COUNTED[name](counted))
            for name in names
            if name in COUNTED
        }
    if LATENCY in names:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "export")
            rows = compare(model, path, "dense", (1,), beside=PLAIN).rows
            found[LATENCY] = min(
                row.latencies[1].median for row in rows if row.label == row.form
            )
    return found


@wrapt.patch_function_wrapper(keras_tuner.Tuner, "_try_build")
def _remember(build, tuner, args, kwargs):
    tuner.built_model = build(*args, **kwargs)
    return tuner.built_model


@wrapt.patch_function_wrapper(keras_tuner.Tuner, "_build_and_fit_model")
def _fill_in(fit, tuner, args, kwargs):
    """Add the costs that the objective asks for to the results of a fit."""
    results = fit(*args, **kwargs)
    history = results
    if isinstance(results, keras.callbacks.History):
        history = results.history
    needed = getattr(tuner.oracle.objective, "costs", ())
    missing = [name for name in needed if name not in history]
    if not missing or not isinstance(history, dict):
        return results
    for name, value in measured(tuner.built_model, missing).items():
        epochs = len(results.epoch) if history is not results else None
        history[name] = value if epochs is None else [value] * epochs
    return results
