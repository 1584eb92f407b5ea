"""The schedule files of dynamic sparse reparameterization."""

from typing import Any
from typing import NamedTuple

import yaml

from cb.errors import InputError

KEYS = {
    "lr_schedule": "learning_rate",
    "rewire_period_schedule": "period",
    "DeepR_temperature_schedule": "temperature",
}


class ScheduleFile(NamedTuple):
    """What a schedule file says, each from a first epoch on.

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
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"The schedule file is not YAML: {error}") from error
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


def _entries(key: str, items: Any) -> dict[int, Any]:
    message = (
        f"Schedule {key!r} must be a list of one-entry maps from an epoch to "
        f"a number, epochs ascending. Received: {items!r}"
    )
    if not isinstance(items, list):
        raise InputError(message)
    values: dict[int, float] = {}
    for item in items:
        if not isinstance(item, dict) or len(item) != 1:
            raise InputError(message)
        ((epoch, value),) = item.items()
        ascending = isinstance(epoch, int) and epoch > max(values, default=-1)
        number = _number(value)
        if not ascending or number is None:
            raise InputError(message)
        values[epoch] = number
    return values


def _number(value) -> float | None:
    # YAML 1.1 reads "1e-5", without a dot, as a string.
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0.0 <= number < float("inf") else None
