"""The frozen configuration of a run and its identity."""

import dataclasses
import hashlib
import json
import os
import pathlib
import typing
from collections.abc import Mapping
from typing import Any

from cb.config.fields import Fields
from cb.config.metadata import Metadata
from cb.config.values import converted
from cb.errors import InputError
from cb.registry import parse_spec
from cb.registry import unknown
from cb.registry.inheritance import list_described
from cb.registry.inheritance import list_inherited

METADATA: dict[str, Metadata] = {
    field.name: field.metadata["flag"] for field in dataclasses.fields(Fields)
}
# By field; names in braces, such as `{cb.models}`, stand for the parts that the
# package registers.
HELP = {
    name: " ".join(entry.partition(": ")[2].split())
    for name, entry in list_described(Fields).items()
}
ANNOTATIONS = typing.get_type_hints(Fields, include_extras=True)
IDENTITY = tuple(name for name in METADATA if METADATA[name].identity)
SPECS = tuple(name for name in METADATA if METADATA[name].spec)
# The fields that people compare runs by come first in labels and tables.
FIRST = ("sparsity", "reallocation", "model", "learning_rate")
# Keywords of a data set that say where it is, not what.
PLACES = ("path", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Fields):
    """Everything that a training run depends on.

    Text is converted to the type of its field, a comma-separated list for
    example.

    Raises:
        InputError: If a name is unknown, or a value has the wrong type or is
            out of range.

    Example:

    >>> Config(epochs=3, include="hidden_*,logits").include
    ['hidden_*', 'logits']
    """

    def __new__(cls, **values):
        """Refuse unknown names and suggest the nearest field."""
        for name in values:
            if name not in METADATA:
                raise unknown("field of `Config`", name, METADATA)
        return super().__new__(cls)

    def __post_init__(self):
        for name in METADATA:
            value = checked(name, getattr(self, name))
            object.__setattr__(self, name, value)
        if self.initial_epoch >= self.epochs:
            raise InputError(
                "Argument `initial_epoch` must be less than `epochs`. "
                f"Received: initial_epoch={self.initial_epoch}, "
                f"epochs={self.epochs}"
            )

    @property
    def update_batch(self) -> int:
        """The examples that one update of the weights sees."""
        return self.batch_size * self.gradient_accumulation

    def completed(self) -> "Config":
        """Return a copy with every default in specs written out.

        Raises:
            InputError: If a name or a value in a spec is wrong.
        """
        specs: dict[str, Any] = {
            name: metadata.complete(getattr(self, name))
            for name, metadata in METADATA.items()
            if metadata.parts is not None
        }
        return dataclasses.replace(self, **specs)

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as values that JSON can hold."""
        return dataclasses.asdict(self)

    def kept(self) -> dict[str, Any]:
        """Return the fields that `config.json` keeps."""
        values = self.as_dict()
        return {name: values[name] for name in values if METADATA[name].kept}

    def identity(self) -> dict[str, Any]:
        """Return the fields that make two runs the same run."""
        values = self.as_dict()
        return {name: values[name] for name in IDENTITY}

    def short_hash(self) -> str:
        """Return eight hexadecimal digits that stand for the identity."""
        named = {
            name: value
            for name, value in self.identity().items()
            if not METADATA[name].later or value != getattr(Config, name)
        }
        text = json.dumps(named, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]

    def differences(self, other: "Config") -> list[str]:
        """List the fields in which another's identity differs, as lines."""
        mine, others = self.identity(), other.identity()
        return [
            f"{key} is {others[key]!r} instead of {mine[key]!r}"
            for key in mine
            if mine[key] != others[key]
        ]

    def moved_to(self, other: "Config") -> "Config":
        """Return this with the data at the place of another's, if all else
        about them is the same.
        """
        mine, others = parse_spec(self.dataset), parse_spec(other.dataset)
        places = {k: v for k, v in others.kwargs.items() if k in PLACES}
        moved = {**mine.kwargs, **places}
        if (mine.name, moved) != (others.name, others.kwargs):
            return self
        return dataclasses.replace(self, dataset=other.dataset)


list_inherited(Config)


def checked(name: str, value: Any) -> Any:
    """Return a value, perhaps given as text, as its field holds it.

    Args:
        name: String, the field.
        value: The value, from Python, YAML, JSON or a command line.

    Raises:
        InputError: If the field does not allow the value, or a spec is
            malformed.
    """
    metadata = METADATA[name]
    if metadata.convert is not None:
        value = metadata.convert(value)
    value = converted(name, value, ANNOTATIONS[name])
    if metadata.spec:
        parse_spec(value)
    return value


def check_values(values: Mapping[str, Any]) -> None:
    """Check values, and specs as far as their parts need no TensorFlow.

    The other specs are checked by `Config.completed`.

    Args:
        values: Dict of field to value.

    Raises:
        InputError: If a value is wrong, or a name or a value in a spec.
    """
    for name, value in values.items():
        METADATA[name].check_value(checked(name, value))


def default_run_dir(config: Config) -> str:
    """Return `runs/<name or model>[_<job_idx>]_<hash>`."""
    model = pathlib.Path(parse_spec(config.model).name)
    name = config.name or model.stem
    parts = [name, config.short_hash()]
    if config.job_idx is not None:
        parts.insert(1, str(config.job_idx))
    return os.path.join("runs", "_".join(parts))
