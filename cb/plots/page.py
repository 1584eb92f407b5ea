"""Pages of charts and tables: HTML files that need no other file.

Tables are sorted, filtered and unfolded by `page.js`, which also draws the
charts with Plotly. Its JavaScript, inlined as text, would fill the 5 MB that a
page may have; compressed it takes two.
"""

import base64
import functools
import gzip
import html
import json
import math
import pathlib
import re
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from importlib import resources
from typing import Any
from typing import NamedTuple

from plotly.offline import get_plotlyjs

from cb.files import replacing
from cb.plots.chart import chart
from cb.plots.chart import look
from cb.plots.figure import Figure

HEIGHT, ROW_HEIGHT = 330, 30
MANY = 1e5
UNITS = "kMGTPE"
DASHES = {"solid": "none", "dash": "6 3", "dot": "2 2"}


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        cells: Sequence of the values, the first of which is the row's name;
            `None` is an empty cell.
        item: String, which charts name the row by; empty for none.
        look: Integer, that of its traces, or `None` if they have none.
        marked: Boolean, whether it stands out.
        details: Dict of name to text, shown when the row is clicked.
    """

    cells: Sequence[Any]
    item: str = ""
    look: int | None = None
    marked: bool = False
    details: Mapping[str, Any] = {}


class Page:
    """An HTML page, built from top to bottom.

    Args:
        title: String.
    """

    def __init__(self, title: str):
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]
        self._figures: list[dict[str, Any]] = []
        self._items: dict[str, str] = {}

    def heading(self, text: str) -> None:
        """Start a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def note(self, text: str) -> None:
        """Add a paragraph in small print."""
        self._parts.append(f'<p class="note">{html.escape(text)}</p>')

    def charts(
        self, figures: Iterable[Figure], items: Mapping[str, Sequence[str]]
    ) -> None:
        """Add charts, side by side where there is room.

        Args:
            figures: Iterable of `Figure`.
            items: Dict of the name of a row to the lines shown beside the
                pointer.
        """
        self._items |= {
            name: "<br>".join(map(html.escape, lines))
            for name, lines in items.items()
        }
        drawn = []
        for figure in figures:
            self._figures.append(chart(figure))
            height = max(HEIGHT, 60 + ROW_HEIGHT * len(figure.rows))
            # Parallel coordinates.
            broad = ' class="broad"' if figure.rows and not figure.x else ""
            drawn.append(
                f"<figure{broad}><h3>{html.escape(figure.title)}</h3>"
                f'<div class="chart" style="height:{height}px"></div>'
                f"<figcaption>{html.escape(figure.caption)}</figcaption>"
                "</figure>"
            )
        self._parts.append(f'<div class="charts">{"".join(drawn)}</div>')

    def table(
        self, header: Sequence[str], rows: Iterable[Sequence[Any] | Row]
    ) -> None:
        """Add a table that a click on a column header sorts.

        Args:
            header: Sequence of strings.
            rows: Iterable of `Row`, or of rows of values; all as long as the
                header. A table of rows with items can be filtered.
        """
        lines = [row if isinstance(row, Row) else Row(row) for row in rows]
        columns = [*zip(*(line.cells for line in lines), strict=True)]
        heads = "".join(
            f"<th{' class=number' * any(map(_is_number, column))}>"
            f"{_breakable(name)}</th>"
            for name, column in zip(header, columns, strict=True)
        )
        texts = zip(*map(shown, columns), strict=True)
        body = "\n".join(map(_line, lines, texts))
        linked = any(line.item for line in lines)
        if linked:
            self._parts.append(
                '<div class="tools"><input type="search" aria-label="Filter" '
                'placeholder="Filter: rigl sparsity>0.9 -failed"><output>'
                '</output><button class="more" hidden></button></div>'
            )
        self._parts.append(
            f'<div class="wide"><table{" data-items" * linked}><thead><tr>'
            f"{heads}</tr></thead>\n<tbody>{body}</tbody></table></div>"
        )

    def write(self, file: pathlib.Path) -> None:
        """Write the page to a file, which it replaces at once."""
        data = json.dumps({"items": self._items, "figures": self._figures})
        body = "\n".join(self._parts)
        text = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(self.title)}</title>"
            f"<style>{_asset('page.css')}</style></head>\n<body>{body}\n"
            f"{_packed('data', data)}{_plotly()}"
            f"<script>{_asset('page.js')}</script></body></html>\n"
        )
        # Several processes of a sweep may write its page.
        with replacing(file, shared=True) as opened:
            opened.write(text.encode("utf-8"))


def shown(column: Sequence[Any]) -> list[str]:
    """Return the values of a column as texts.

    Args:
        column: Sequence of values; `None` gives an empty text.

    Returns:
        List of strings. Numbers have four digits, all as many decimals where
        they are alike in size, and large ones a unit, as in `"147.1 k"`.
    """
    floats = [abs(v) for v in column if isinstance(v, float) and v]
    if floats and 0.001 <= min(floats) and max(floats) < 1000:
        decimals = max(3 - math.floor(math.log10(max(floats))), 0)
        if min(floats) >= 10.0 ** (1 - decimals):
            while decimals and all(
                round(v, decimals) == round(v, decimals - 1) for v in floats
            ):
                decimals -= 1
            return [
                f"{v:.{decimals}f}" if isinstance(v, float) else _short(v)
                for v in column
            ]
    return [*map(_short, column)]


def _short(value: Any) -> str:
    if value is None:
        return ""
    if not _is_number(value) or isinstance(value, int) and abs(value) < MANY:
        return str(value)
    size = abs(value)
    if not 1000 <= size < math.inf:
        return f"{value:.4g}"
    if size < MANY:
        return f"{value:.0f}"
    unit = min(int(math.log10(size)) // 3, len(UNITS))
    return f"{value / 1000**unit:.4g} {UNITS[unit - 1]}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _breakable(name: str) -> str:
    """Return a name that may be broken between its parts."""
    return re.sub(r"([._])", r"\1<wbr>", html.escape(name))


def _line(row: Row, texts: Sequence[str]) -> str:
    attributes = ' class="marked"' if row.marked else ""
    if row.item:
        pairs = [[key, str(value)] for key, value in row.details.items()]
        attributes += (
            f' data-item="{html.escape(row.item)}"'
            f' data-details="{html.escape(json.dumps(pairs))}"'
        )
    swatch = "" if row.look is None else _swatch(row.look)
    cells = "".join(map(_cell, row.cells[1:], texts[1:]))
    name = _cell(row.cells[0], texts[0], "th", swatch)
    return f"<tr{attributes}>{name}{cells}</tr>"


def _cell(value: Any, text: str, tag: str = "td", before: str = "") -> str:
    """Return a cell that is sorted by its whole value."""
    exact = "" if value is None else html.escape(str(value))
    kind = ' class="number"' if _is_number(value) else ""
    return (
        f'<{tag}{kind} data-value="{exact}" title="{exact}">'
        f"{before}{html.escape(text)}</{tag}>"
    )


def _swatch(number: int) -> str:
    line = look(number)
    return (
        '<button class="swatch" title="Hide or show"><svg class="look" '
        f'viewBox="0 0 26 10"><path d="M0 5H26" stroke="{line["color"]}" '
        f'stroke-width="3" stroke-dasharray="{DASHES[line["dash"]]}"/></svg>'
        "</button>"
    )


@functools.cache
def _asset(name: str) -> str:
    return resources.files("cb.plots").joinpath(name).read_text("utf-8")


@functools.cache
def _plotly() -> str:
    return _packed("plotly", get_plotlyjs())


def _packed(name: str, text: str) -> str:
    """Return a text, compressed, as an element of a page."""
    packed = gzip.compress(text.encode("utf-8"), mtime=0)
    content = base64.b64encode(packed).decode("ascii")
    return f'<script type="text/plain" id="{name}">{content}</script>\n'
