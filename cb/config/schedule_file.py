"""Schedule files of dynamic sparse reparameterization."""

import math
from typing import Any
from typing import NamedTuple

from cb.errors import InputError
from cb.files import documents
from cb.registry import Spec
from cb.registry import accepted
from cb.registry import parse_spec
from cb.sparsity.reallocation import REGISTRY

KEYS = {
    "lr_schedule": "learning_rate",
    "rewire_period_schedule": "period",
    "DeepR_temperature_schedule": "temperature",
}


class ScheduleFile(NamedTuple):
    """Contents of a schedule file, each value from a first epoch on.

    Attributes:
        learning_rate: Dict of first epoch to learning rate.
        period: Dict of first epoch to steps between events.
        temperature: Dict of first epoch to temperature of the noise.
    """

    learning_rate: dict[int, float]
    period: dict[int, int]
    temperature: dict[int, float]


def parse(text: str) -> ScheduleFile:
    """Read the text of a schedule file.

    Args:
        text: String of YAML: a map with the keys `lr_schedule`,
            `rewire_period_schedule` and `DeepR_temperature_schedule`, each
            a list of one-entry maps from an epoch to a number. A key may be
            missing; its dict is then empty.

    Returns:
        A `ScheduleFile`.

    Raises:
        InputError: If the text is anything else.

    Reference:

    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """
    content = documents.parse(text, "The schedule file")
    if not isinstance(content, dict) or not set(content) <= set(KEYS):
        raise InputError(
            f"A schedule file must be a map with keys of {list(KEYS)}. "
            f"Received: {content!r}"
        )
    values = {
        name: _entries(key, content.get(key) or [])
        for key, name in KEYS.items()
    }
    for epoch, period in values["period"].items():
        if period < 1 or period != int(period):
            raise InputError(
                "A period must be a positive integer. "
                f"Received: {period!r} from epoch {epoch} on"
            )
        values["period"][epoch] = int(period)
    return ScheduleFile(**values)


def settings(
    schedule: ScheduleFile, learning_rate: float | None, reallocation: str
) -> dict[str, Any]:
    """Return the fields of a configuration that a schedule file sets.

    Args:
        schedule: A `ScheduleFile`.
        learning_rate: Float, the highest learning rate, or `None` for the
            one in the file.
        reallocation: Spec of the algorithm, whose own values win.

    Returns:
        Dict of field name to value. Period and temperature are used where the
        algorithm has such a hyperparameter.

    Raises:
        InputError: If the algorithm is unknown or no learning rate is more
            than zero.
    """
    spec = parse_spec(reallocation)
    known = accepted(REGISTRY.get(spec.name))
    for keyword, values in (
        ("every", schedule.period),
        ("temperature", schedule.temperature),
    ):
        if values and keyword in known:
            spec.kwargs.setdefault(keyword, values)
    fields: dict[str, Any] = {"reallocation": str(spec)}
    if schedule.learning_rate:
        highest = max(schedule.learning_rate.values())
        if highest == 0.0:
            raise InputError(
                "A schedule file must have a learning rate above zero. "
                f"Received: {schedule.learning_rate}"
            )
        factors = {e: v / highest for e, v in schedule.learning_rate.items()}
        rates = Spec("piecewise", (), {"factors": factors})
        fields["learning_rate_schedule"] = str(rates)
        fields["learning_rate"] = learning_rate or highest
    return fields


def _entries(key: str, items: Any) -> dict[int, Any]:
    values: dict[int, float] = {}
    try:
        for item in items:
            ((epoch, value),) = item.items()
            number = float(value)
            ascending = isinstance(epoch, int) and epoch > max(
                values, default=-1
            )
            if not (ascending and 0.0 <= number < math.inf):
                raise ValueError
            values[epoch] = number
    except (AttributeError, OverflowError, TypeError, ValueError):
        raise InputError(
            f"Schedule {key!r} must be a list of one-entry maps from an epoch "
            f"to a number, epochs ascending. Received: {items!r}"
        ) from None
    return values
