"""Flags whose values are checked against an annotation."""

import typing
from collections.abc import Callable
from typing import Annotated
from typing import Any
from typing import Literal

from absl import flags

from cb.config.values import converted
from cb.config.values import kinds
from cb.registry.annotations import describe

# Flags belong to the modules that call `define`.
flags.disclaim_key_flags()


class _Parser(flags.ArgumentParser):
    """Converts and checks text by a function."""

    def __init__(self, parse: Callable[[Any], Any], is_list: bool):
        self.parse = parse
        self.is_list = is_list


def define(
    name: str,
    default: Any,
    text: str,
    annotation: Any,
    parse: Callable[[Any], Any] | None = None,
) -> None:
    """Define a flag; its help says which values it may have.

    Args:
        name: String.
        default: The value without the flag.
        text: String, its help.
        annotation: As in `cb.registry.check`.
        parse: Callable from text, or a value, to the value; by default
            `cb.config.values.converted` by the annotation.
    """
    for option in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(option) in (Annotated, Literal):
            text += f" Must be {describe(option)}."
    parser = _Parser(
        parse or (lambda value: converted(name, value, annotation)),
        list in kinds(annotation),
    )
    flag = flags.Flag(
        parser, None, name, default, text, boolean=annotation is bool
    )
    flags.DEFINE_flag(flag)
