"""Metadata of configuration fields: group, completion, identity."""

import dataclasses
import importlib
import operator
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

# Groups of fields, in the order in which `--help` shows them.
DATA = "Data"
MODEL = "Model"
SPARSITY = "Sparsity"
TRAINING = "Training"
LARGE_BATCHES = "Large batches"
DEVICES = "Devices"
RUN = "Run"
GROUPS = (DATA, MODEL, SPARSITY, TRAINING, LARGE_BATCHES, DEVICES, RUN)


class Metadata(NamedTuple):
    """Describes a field, and the flag that is made of it.

    The help of the flag is the field's entry in the docstring of its class.

    Attributes:
        group: One of `GROUPS`.
        common: Whether `--help` shows the text, not only the name.
        identity: Whether two runs that differ in the field are two runs.
            Where a run lives and how it is watched makes no difference.
        later: Whether the field is younger than the names of run folders,
            whose hash then leaves its default out.
        kept: Whether `config.json` keeps the value, for `--config` to repeat.
        parts: What completes the value, as `"module:attribute"`, imported
            when needed: a callable from a spec to the spec with every default
            written out, which raises `InputError`. `None` for plain values.
        spec: Whether the value is a single spec, whose keywords `--set` takes.
        light: Whether `parts` does its work without TensorFlow, so that
            mistakes are reported before it is imported.
        check: Callable that refuses values which cannot be used, as
            `"module:attribute"` that needs no TensorFlow; it may look for
            files. Reading the configuration of an earlier run does not call
            it.
        convert: Callable from a value of the right type, or a mapping, to the
            value that the field holds; raises `InputError`.
    """

    group: str
    common: bool = False
    identity: bool = True
    later: bool = False
    kept: bool = True
    parts: str | None = None
    spec: bool = False
    light: bool = False
    check: str | None = None
    convert: Callable[[Any], Any] | None = None

    def complete(self, value: str) -> str:
        """Write out the defaults that a spec leaves out.

        Raises:
            InputError: If a name or a value in the spec is wrong.
        """
        return str(_imported(str(self.parts))(value))

    def check_value(self, value: Any) -> None:
        """Raise `InputError` if a value of the right type cannot be used."""
        if self.light:
            self.complete(value)
        if self.check is not None and value is not None:
            _imported(self.check)(value)


def _imported(place: str) -> Callable[[Any], Any]:
    module, _, attribute = place.partition(":")
    return operator.attrgetter(attribute)(importlib.import_module(module))


def flag(default: Any, group: str, **details: Any) -> Any:
    """Declare a field of the configuration, which is a flag of its name.

    Args:
        default: The value without the flag.
        group: As in `Metadata`.
        **details: The other attributes of `Metadata`.

    Example:

    >>> @dataclasses.dataclass
    ... class Fields:
    ...     patience: int = flag(3, TRAINING)
    """
    metadata = Metadata(group, **details)
    return dataclasses.field(default=default, metadata={"flag": metadata})


def part(default: str, group: str, parts: str, **details: Any):
    """Declare a field that holds the spec of a part.

    Args:
        default: As in `flag`.
        group: As in `Metadata`.
        parts: As in `Metadata`.
        **details: As in `flag`.
    """
    return flag(default, group, parts=parts, spec=True, **details)
