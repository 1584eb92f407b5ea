"""Regimes: what the optimizer is set to from which epoch on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cb.errors import InputError
from cb.registry import unknown

KEYS = ("optimizer", "learning_rate", "momentum", "nesterov", "weight_decay")
NUMBERS = ("learning_rate", "momentum", "weight_decay")
START = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4}

# As published; the learning rates belong to the reference batch.
PUBLISHED: dict[str, dict[int, dict[str, Any]]] = {
    "resnet44": {
        0: {**START, "learning_rate": 0.1},
        81: {"learning_rate": 0.01},
        122: {"optimizer": "sgd", "learning_rate": 0.001},
        164: {"learning_rate": 1e-4},
    },
    "wresnet16_4": {
        0: {**START, "learning_rate": 0.1},
        60: {"learning_rate": 0.02},
        120: {"learning_rate": 0.004},
        140: {"learning_rate": 1e-4},
    },
    "imagenet_resnet": {
        0: {**START, "learning_rate": 0.1},
        30: {"learning_rate": 0.01},
        60: {"learning_rate": 0.001},
        90: {"learning_rate": 1e-4},
    },
    "f1": {
        0: {**START, "learning_rate": 0.1},
        10: {"learning_rate": 0.01},
        20: {"learning_rate": 0.001},
        30: {"learning_rate": 1e-4},
    },
    # Published without momentum, and with a learning rate that rises.
    "c1": {
        0: {
            "optimizer": "sgd",
            "learning_rate": 0.001,
            "momentum": 0.0,
            "weight_decay": 5e-4,
        },
        60: {"learning_rate": 0.01},
        120: {"learning_rate": 0.001},
        180: {"learning_rate": 1e-4},
    },
    "alexnet": {
        0: {**START, "learning_rate": 0.01, "weight_decay": 5e-4},
        10: {"learning_rate": 0.005},
        15: {"learning_rate": 0.001, "weight_decay": 0.0},
        20: {"learning_rate": 5e-4},
        25: {"learning_rate": 1e-4},
    },
}
PUBLISHED["c3"] = PUBLISHED["c1"]


@dataclasses.dataclass(frozen=True)
class Regime:
    """Settings of an optimizer by epoch; they hold until they are changed.

    Naming an optimizer, even the same one, means a new one: its state is
    lost and its settings are kept.

    Args:
        phases: Tuple of pairs of an epoch, ascending from 0, and a dict with
            some of `optimizer`, `learning_rate`, `momentum`, `nesterov`,
            `weight_decay`.

    Raises:
        InputError: If an epoch, a key or a value is wrong.
    """

    phases: tuple[tuple[int, Mapping[str, Any]], ...]

    def __post_init__(self):
        epochs = [epoch for epoch, _ in self.phases]
        if epochs[:1] != [0] or epochs != sorted(set(epochs)):
            raise InputError(
                f"The epochs of a regime must ascend from 0. Received: {epochs}"
            )
        for epoch, settings in self.phases:
            for key, value in settings.items():
                _check(epoch, key, value)
        for key in ("optimizer", "learning_rate"):
            if key not in self.phases[0][1]:
                raise InputError(
                    f"A regime must give `{key}` at epoch 0. "
                    f"Received: {dict(self.phases[0][1])}"
                )

    def at(self, epoch: int) -> dict[str, Any]:
        """Return all settings that hold in an epoch, counted from 0."""
        settings: dict[str, Any] = {}
        for start, changes in self.phases:
            if start <= epoch:
                settings.update(changes)
        return settings

    def stretched(self, factor: int) -> "Regime":
        """Return the regime with its boundaries multiplied by `factor`."""
        return Regime(
            tuple((epoch * factor, changes) for epoch, changes in self.phases)
        )

    def scaled(self, factor: float) -> "Regime":
        """Return the regime with its learning rates multiplied."""
        return Regime(
            tuple(
                (epoch, _multiplied(changes, factor))
                for epoch, changes in self.phases
            )
        )

    def values(self, key: str, default=None) -> list[tuple[int, Any]]:
        """Return `(epoch, value)` wherever a setting changes, from 0 on."""
        found: list[tuple[int, Any]] = []
        for epoch, _ in self.phases:
            value = self.at(epoch).get(key, default)
            if not found or found[-1][1] != value:
                found.append((epoch, value))
        return found

    def renewals(self) -> list[int]:
        """Return the epochs after 0 at which the optimizer is made anew."""
        return [
            epoch
            for epoch, changes in self.phases
            if epoch and "optimizer" in changes
        ]


def names() -> list[str]:
    """Return the names of the published regimes."""
    return sorted(PUBLISHED)


def published(name: str) -> Regime:
    """Return a published regime by the name of its model."""
    if name not in PUBLISHED:
        raise unknown("regime", name, PUBLISHED)
    return from_dict(PUBLISHED[name])


def from_yaml(text: str) -> Regime:
    """Read a regime.

    Args:
        text: YAML such as
            `{0: {optimizer: sgd, learning_rate: 0.1}, 10: {momentum: 0}}`,
            a mapping from epochs to settings.

    Returns:
        A `Regime`.

    Raises:
        InputError: If the text is no YAML or no regime.
    """
    import yaml

    try:
        return from_dict(yaml.safe_load(text))
    except yaml.YAMLError as error:
        place = " ".join(str(error).split())
        raise InputError(f"The regime is not YAML: {place}") from error


def from_dict(phases: Mapping[int, Mapping[str, Any]]) -> Regime:
    """Make a regime of a mapping from epochs to settings."""
    mapping = isinstance(phases, Mapping) and all(
        isinstance(epoch, int)
        and not isinstance(epoch, bool)
        and isinstance(changes, Mapping)
        for epoch, changes in phases.items()
    )
    if not mapping:
        raise InputError(
            "A regime must map epochs to settings, such as "
            f"{{0: {{'learning_rate': 0.1}}}}. Received: {phases!r}"
        )
    return Regime(tuple(sorted(phases.items(), key=lambda phase: phase[0])))


def _check(epoch, key, value) -> None:
    if key not in KEYS:
        raise unknown(f"setting of a regime at epoch {epoch}", key, KEYS)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    wanted = {"optimizer": (str, "a name"), "nesterov": (bool, "a boolean")}
    if key in NUMBERS and not (number and value >= 0):
        expected = "a number that is not negative"
    elif key not in NUMBERS and not isinstance(value, wanted[key][0]):
        expected = wanted[key][1]
    else:
        return
    raise InputError(
        f"Setting `{key}` of a regime must be {expected}. "
        f"Received: {key}={value!r} at epoch {epoch}"
    )


def _multiplied(changes, factor):
    if "learning_rate" not in changes:
        return changes
    return {**changes, "learning_rate": changes["learning_rate"] * factor}
