"""Regimes: the settings of an optimizer, by epoch."""

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import yaml

from cb.errors import InputError
from cb.files import documents
from cb.registry import NotNegative
from cb.registry import check
from cb.registry import parse_spec
from cb.registry import unknown
from cb.registry.annotations import allows

SETTINGS: dict[str, Any] = {
    "optimizer": str,
    "learning_rate": NotNegative,
    "momentum": NotNegative,
    "nesterov": bool,
    "weight_decay": NotNegative,
}

# Optimizers that the published one stands for.
SGD = ("sgd", "published_sgd")


@dataclasses.dataclass(frozen=True)
class Regime:
    """Settings of an optimizer by epoch, which hold until they are changed.

    A phase that names an optimizer, even the same one, makes a new one: its
    state is lost and its settings are kept. A regime that names no optimizer
    applies to that of the run.

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
        if not self.phases[0][1].get("learning_rate"):
            raise InputError(
                "A regime must give a positive `learning_rate` at epoch 0. "
                f"Received: {dict(self.phases[0][1])}"
            )
        others = {key for _, settings in self.phases for key in settings}
        others.discard("learning_rate")
        if others and "optimizer" not in self.phases[0][1]:
            raise InputError(
                "A regime must give `optimizer` at epoch 0, or nothing but "
                f"learning rates. Received: {sorted(others)}"
            )

    def __str__(self) -> str:
        """Write the regime as YAML on one line, which `from_yaml` reads."""
        phases = {epoch: dict(changes) for epoch, changes in self.phases}
        return yaml.safe_dump(
            phases, default_flow_style=True, sort_keys=False, width=10**9
        ).strip()

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

    def starting_at(self, learning_rate: float) -> "Regime":
        """Return the regime scaled to a first learning rate."""
        first = self.phases[0][1]["learning_rate"]
        if learning_rate == first:
            return self
        (start, settings), *later = self.scaled(learning_rate / first).phases
        # Not off by a rounding, so that doing this again changes nothing.
        settings = {**settings, "learning_rate": learning_rate}
        return Regime(((start, settings), *later))

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

    def without(self, *keys: str, start: int = 0) -> "Regime":
        """Return the regime without some settings, from an epoch on."""
        phases = []
        for epoch, changes in self.phases:
            dropped = keys if epoch >= start else ()
            kept = {k: v for k, v in changes.items() if k not in dropped}
            if kept or not epoch:
                phases.append((epoch, kept))
        return Regime(tuple(phases))

    def segments(self) -> list[tuple[int, "Regime"]]:
        """Cut the regime where another optimizer takes over.

        SGD that is made anew only loses its momentum, and goes on.

        Returns:
            List of pairs of an epoch and a `Regime` from there on, in which
            epochs are counted from it.
        """
        renewed = {
            epoch
            for epoch in self.renewals()
            if parse_spec(self.at(epoch)["optimizer"]).name not in SGD
        }
        starts = sorted({e for e, _ in self.values("optimizer")} | renewed)
        segments = []
        for start, end in zip(starts, [*starts[1:], math.inf], strict=True):
            later = [
                (epoch - start, changes)
                for epoch, changes in self.phases
                if start < epoch < end
            ]
            segments.append((start, Regime(((0, self.at(start)), *later))))
        return segments


def read(text: str) -> Regime:
    """Read a regime from a file, or from YAML in braces.

    Args:
        text: String, the path of a YAML file, or such text itself.

    Raises:
        InputError: As in `from_yaml`, or if there is no such file.
    """
    if text.strip().startswith("{"):
        return from_yaml(text)
    return from_yaml(
        documents.read_text(
            text.strip(),
            "Argument `regime` must be none, model, a YAML file or a mapping "
            "of epochs to settings in braces. A file of that name",
        )
    )


def check_text(text: str) -> None:
    """Raise `InputError` if the text of a configuration is no regime.

    Args:
        text: `"none"`, `"model"`, or as in `read`.
    """
    if text.strip() not in ("none", "model"):
        read(text)


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
    return from_dict(documents.parse(text, "The regime"))


def from_dict(phases: Mapping[int, Mapping[str, Any]]) -> Regime:
    """Make a regime of a mapping from epochs to settings."""
    if not allows(Mapping[int, Mapping[str, Any]], phases):
        raise InputError(
            "A regime must map epochs to settings, such as "
            f"{{0: {{'learning_rate': 0.1}}}}. Received: {phases!r}"
        )
    return Regime(
        tuple((epoch, dict(phases[epoch])) for epoch in sorted(phases))
    )


def from_function(
    settings: Callable[[int], Mapping[str, Any]], epochs: int
) -> Regime:
    """Make a regime of a function.

    Args:
        settings: Function from an epoch to all settings that hold in it.
        epochs: Integer, epochs to ask for; the last settings stay.

    Returns:
        A `Regime`; its optimizer is made anew only where it changes.
    """
    phases: dict[int, dict[str, Any]] = {}
    before: Mapping[str, Any] = {}
    for epoch in range(epochs):
        now = settings(epoch)
        changes = {
            key: value
            for key, value in now.items()
            if key not in before or before[key] != value
        }
        if changes:
            phases[epoch] = changes
        before = now
    return from_dict(phases)


def _check(epoch, key, value) -> None:
    owner = f"a regime at epoch {epoch}"
    if key not in SETTINGS:
        raise unknown(f"setting of {owner}", key, SETTINGS)
    check(key, value, SETTINGS[key], owner)


def _multiplied(changes, factor):
    if "learning_rate" not in changes:
        return changes
    return {**changes, "learning_rate": changes["learning_rate"] * factor}
