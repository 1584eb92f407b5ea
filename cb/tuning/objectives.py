"""Objectives: metrics and costs of runs that a search optimizes."""

import dataclasses
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from cb.errors import InputError
from cb.errors import argument_error
from cb.registry import unknown

MIN, MAX = "min", "max"
VALIDATION, TEST = "val_", "test_"
ERROR = "error"
INFERENCE, TRAINING = "inference_flops", "training_flops"

# Known before training, from shapes, masks and schedules.
CHEAP = (INFERENCE, TRAINING, "parameters", "storage_bytes")
_SCORES = ("accuracy", ERROR, "loss", "top_5_accuracy")
METRICS = (
    *[prefix + name for prefix in ("", VALIDATION, TEST) for name in _SCORES],
    "seconds",
)
_KNOWN = (*METRICS, *CHEAP)


@dataclasses.dataclass(frozen=True)
class Objective:
    """A number of a run to minimize or maximize.

    Args:
        name: String, of `METRICS` or `CHEAP`.
        direction: `"min"` or `"max"`.
    """

    name: str
    direction: str

    def minimized(self, value: float) -> float:
        """Return the value with its sign such that smaller is better."""
        return -value if self.direction == MAX else value

    @property
    def worst(self) -> float:
        """The value that stands for an infeasible point."""
        return float("-inf") if self.direction == MAX else float("inf")


def parse_objectives(texts: Iterable[str]) -> tuple[Objective, ...]:
    """Parse objectives.

    Args:
        texts: Iterable of `"name"`, or `"name:max"` or `"name:min"`. By
            default accuracies are maximized and all else is minimized.

    Returns:
        Tuple of `Objective`.

    Raises:
        InputError: If there is none, or one is unknown or given twice.
    """
    objectives = []
    for text in texts:
        name, _, direction = text.strip().partition(":")
        if name not in _KNOWN:
            raise unknown("objective", name, _KNOWN)
        direction = direction or (MAX if name.endswith("accuracy") else MIN)
        if direction not in (MIN, MAX):
            raise unknown(f"direction of `{name}`", direction, (MIN, MAX))
        objectives.append(Objective(name, direction))
    names = [objective.name for objective in objectives]
    if not names or len(set(names)) < len(names):
        raise argument_error(
            "objectives", "one or more different metrics", names
        )
    return tuple(objectives)


def parse_constraints(texts: Iterable[str]) -> dict[str, float]:
    """Parse constraints, the largest values allowed.

    Args:
        texts: Iterable of `"name<=number"`.

    Returns:
        Dict of metric to number.

    Raises:
        InputError: If one is malformed or its metric unknown.
    """
    bounds = {}
    for text in texts:
        name, _, number = map(str.strip, text.partition("<="))
        try:
            bounds[name] = float(number)
        except ValueError:
            bounds[name] = 0.0
        if not bounds[name] > 0.0:
            raise InputError(
                "Argument `constraints` must have the form "
                "`metric<=number`, the number positive. "
                f"Received: {text!r}"
            )
        if name not in _KNOWN:
            raise unknown("metric in `constraints`", name, _KNOWN)
    return bounds


def exceeded(
    bounds: Mapping[str, float], measured: Mapping[str, float]
) -> list[str]:
    """List the bounds that measured numbers exceed, as text."""
    return [
        f"{name} {measured[name]:.4g} > {bound:.4g}"
        for name, bound in bounds.items()
        if name in measured and measured[name] > bound
    ]


def scores(
    metrics: Mapping[str, float], test: Mapping[str, float]
) -> dict[str, float]:
    """Return the numbers of a finished run by the names of objectives.

    Args:
        metrics: Dict of the name in `metrics.csv` to the last value.
        test: Dict of metric to value on the test examples.

    Returns:
        Dict of objective to value.
    """
    named: dict[str, Any] = {}
    for name, value in metrics.items():
        part, _, metric = name.rpartition("/")
        if metric in _SCORES and part in ("", "validation"):
            named[(VALIDATION if part else "") + metric] = value
    named |= {TEST + name: value for name, value in test.items()}
    for prefix in ("", VALIDATION, TEST):
        if f"{prefix}accuracy" in named:
            named[prefix + ERROR] = 1.0 - named[f"{prefix}accuracy"]
    return named
