"""Text for people to read."""

import html
import pathlib
import sys
from collections.abc import Iterable
from collections.abc import Sequence
from typing import NamedTuple

# The program that an installation has.
INSTALLED = "cb"
# Columns of a terminal.
WIDTH = 80


def table(lines: Sequence[tuple[str, ...]], numbers: tuple[int, ...]) -> str:
    """Lay out lines of cells as text, the columns of numbers to the right.

    Args:
        lines: Tuples of strings, all as long as the first.
        numbers: Tuple of integers, which columns hold numbers.

    Returns:
        String of as many lines.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in numbers else text.ljust(width)
            for column, (text, width) in enumerate(
                zip(line, widths, strict=True)
            )
        ).rstrip()
        for line in lines
    )


def wrapped(parts: Iterable[str], gap: str = "  ", indent: int = 2) -> str:
    """Join parts into lines that a terminal does not break.

    Args:
        parts: Strings that stay whole, also where one is too long.
        gap: String between two parts of a line.
        indent: Integer, spaces before every line but the first.

    Returns:
        String of one or several lines.
    """
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1] + gap + part) <= WIDTH:
            lines[-1] += gap + part
        else:
            lines.append(" " * indent * bool(lines) + part)
    return "\n".join(lines)


def paragraph(text: str, indent: int = 2) -> str:
    """Break a sentence between words into lines, as `wrapped` does parts."""
    return wrapped(text.split(), " ", indent)


def shortened(text: str, longest: int) -> str:
    """Return a text with its middle replaced, if it is long."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]} ... {text[-longest // 2 :]}"


class Table(NamedTuple):
    """A table of text.

    Attributes:
        lines: Sequence of tuples of strings, the header first.
        numbers: Tuple of integers, which columns hold numbers.
        notes: Sequence of strings, lines below the table.
    """

    lines: Sequence[tuple[str, ...]]
    numbers: tuple[int, ...]
    notes: Sequence[str] = ()


class Tabular:
    """A report that prints as a table, and is one of HTML in notebooks."""

    def _table(self) -> Table:
        raise NotImplementedError

    def __str__(self) -> str:
        lines, numbers, notes = self._table()
        return "\n".join([table(lines, numbers), *notes])

    def _repr_html_(self) -> str:
        lines, numbers, notes = self._table()
        rows = []
        for place, line in enumerate(lines):
            tag = "td" if place else "th"
            cells = "".join(
                f'<{tag} style="text-align: '
                f'{"right" if column in numbers else "left"}">'
                f"{html.escape(text)}</{tag}>"
                for column, text in enumerate(line)
            )
            rows.append(f"<tr>{cells}</tr>")
        below = "<br>".join(map(html.escape, notes))
        return (
            f"<table><thead>{rows[0]}</thead><tbody>{''.join(rows[1:])}"
            f"</tbody></table>{below}"
        )


def program(name: str) -> str:
    """Return how a program is called, in the form in which this one was.

    Args:
        name: String, `"train"`, `"evaluate"`, `"tune"`, `"plots"` or
            `"launch"`.

    Returns:
        `"cb train"`, or in a checkout `"python train.py"`.
    """
    if pathlib.Path(sys.argv[0]).stem == INSTALLED:
        return f"{INSTALLED} {name}"
    module = name in ("plots", "launch")
    return f"python -m cb.{name}" if module else f"python {name}.py"
