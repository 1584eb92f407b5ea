"""Search spaces: hyperparameters with their ranges and conditions."""

import contextlib
import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from cb.config import SPECS
from cb.errors import InputError
from cb.registry import lazy_import
from cb.registry import parse_spec

# It imports TensorFlow.
keras_tuner = lazy_import("keras_tuner")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """One hyperparameter of a search.

    Args:
        name: String, a flag (`"epochs"`), a hyperparameter in a spec
            (`"reallocation.every"`), or any name if `effects` are given.
        kind: `"float"`, `"int"` or `"choice"`.
        low: Number, the smallest value of `"float"` and `"int"`.
        high: Number, the largest value.
        log: Boolean, whether to sample uniformly in the logarithm.
        values: Tuple of the values of a `"choice"`.
        effects: Dict of value to dict of name to setting, for choices that
            stand for several settings.
        default: The value used where it is not searched.
        when: Dict of the name of another parameter to a tuple of the values
            with which this one is active; all conditions must hold.
    """

    name: str
    kind: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    values: tuple = ()
    effects: Mapping[Any, Mapping[str, Any]] | None = None
    default: Any = None
    when: Mapping[str, tuple] = dataclasses.field(default_factory=dict)

    @property
    def written(self) -> set[str]:
        """The names that it sets."""
        if self.effects is None:
            return {self.name}
        return {name for effect in self.effects.values() for name in effect}

    def settings(self, value: Any) -> dict[str, Any]:
        """Return the settings of a value, by flag or name in a spec."""
        if self.effects is not None:
            return dict(self.effects[value])
        return {self.name: value}

    def extremes(self) -> tuple:
        """Return the limits of the range, or all values of a choice."""
        if self.kind == "choice":
            return self.values
        return (self.low, self.high)

    def range_text(self) -> str:
        """Return the range, and the conditions, for people to read."""
        if self.kind == "choice":
            text = ", ".join(map(str, self.values))
        else:
            text = f"{self.low:g} to {self.high:g}"
            text += ", log scale" if self.log else ""
        conditions = [
            f"{name}={'|'.join(map(str, values))}"
            for name, values in self.when.items()
        ]
        return f"{text} if {', '.join(conditions)}" if conditions else text

    def add_to(self, declared: Any) -> None:
        """Declare the parameter with its range and default."""
        if self.kind == "choice":
            declared.Choice(self.name, [*self.values], default=self.default)
            return
        declare = declared.Int if self.kind == "int" else declared.Float
        declare(
            self.name,
            self.low,
            self.high,
            sampling="log" if self.log else "linear",
            default=self.default,
        )


@dataclasses.dataclass(frozen=True)
class Space:
    """A search space with the flags that it fixes.

    Args:
        name: String.
        fixed: Dict of flag to value, unless the flag is given.
        parameters: Tuple of `Parameter`, each after those it depends on.
        budget: Integer, the number of trials of its source, or `None`.
    """

    name: str
    fixed: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    budget: int | None = None

    @property
    def names(self) -> list[str]:
        """The names of all parameters, in order."""
        return [parameter.name for parameter in self.parameters]

    @property
    def texts(self) -> list[str]:
        """The names of the parameters whose values are text."""
        return [
            parameter.name
            for parameter in self.parameters
            if any(isinstance(value, str) for value in parameter.values)
        ]

    @property
    def written(self) -> set[str]:
        """The names that its parameters set."""
        return {name for one in self.parameters for name in one.written}

    def chosen(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of active parameters among others, in order."""
        return {name: values[name] for name in self.names if name in values}

    def hyperparameters(self) -> Any:
        """Return the space as `keras_tuner.HyperParameters`."""
        declared = keras_tuner.HyperParameters()
        for parameter in self.parameters:
            with contextlib.ExitStack() as conditions:
                for name, allowed in parameter.when.items():
                    conditions.enter_context(
                        declared.conditional_scope(name, [*allowed])
                    )
                parameter.add_to(declared)
        return declared

    def settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of the values of a trial.

        Args:
            values: Dict of the name of an active parameter to its value.

        Returns:
            Dict of flag or name in a spec to value; whole flags come before
            names inside of their specs.
        """
        settings: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.name in values:
                settings |= parameter.settings(values[parameter.name])
        return dict(sorted(settings.items(), key=lambda item: "." in item[0]))

    def defaults(self) -> dict[str, Any]:
        """Return the defaults of all parameters active with them."""
        return self.completed({})

    def completed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values completed by defaults of active parameters."""
        complete: dict[str, Any] = {}
        for one in self.parameters:
            if all(
                name in complete and complete[name] in allowed
                for name, allowed in one.when.items()
            ):
                complete[one.name] = values.get(one.name, one.default)
        return complete

    def fixing(self, given: Mapping[str, Any]) -> "Space":
        """Remove parameters from the search whose flags were given.

        Args:
            given: Dict of flag, or name in a spec, to value.

        Returns:
            `Space`. Parameters that depend on a removed one stay if the given
            value meets their condition.

        Raises:
            InputError: If nothing is left, or a choice would overwrite a given
                flag.
        """
        left: list[Parameter] = []
        for parameter in self.parameters:
            if parameter.name in given:
                continue
            written = parameter.written & set(given)
            if written:
                raise InputError(
                    f"Flag `{min(written)}` cannot be given, for "
                    f"parameter `{parameter.name}` of space {self.name!r} "
                    "sets it."
                )
            reachable = {one.name for one in left}
            when = parameter.when.items()
            if all(
                _meets(name, given[name], allowed)
                if name in given
                else name in reachable
                for name, allowed in when
            ):
                open_ = {name: to for name, to in when if name not in given}
                left.append(dataclasses.replace(parameter, when=open_))
        if not left:
            raise InputError(
                f"Space {self.name!r} is empty: every parameter was given as "
                f"a flag. Received: {sorted(given)}"
            )
        return dataclasses.replace(self, parameters=tuple(left))


def _meets(name: str, value: Any, allowed: Sequence[Any]) -> bool:
    """Return whether a given value meets a condition, a spec by its name."""
    return value in allowed or (
        name in SPECS and parse_spec(value).name in allowed
    )
