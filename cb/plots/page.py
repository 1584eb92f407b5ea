"""Pages of figures and tables: HTML files that need no other file."""

import base64
import html
import pathlib
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from cb.files import replacing

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
  margin: 2em auto; max-width: 1100px; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
figure { display: inline-block; margin: 0 0 1.5em; vertical-align: top;
  width: min(100%, 540px) }
figure img { width: 100% }
figcaption, .note { color: #666; font-size: .9em }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: .5em 0 1.5em }
th, td { border-bottom: 1px solid #ddd; padding: .3em .8em;
  text-align: left; vertical-align: top; max-width: 26em }
th { cursor: pointer; user-select: none; border-bottom-color: #888 }
th::after { content: " \\2195"; color: #bbb }
td.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums }
"""

# A click on a header sorts by its column, a second one in reverse.
_SCRIPT = """
document.querySelectorAll("th").forEach(head => head.onclick = () => {
  const place = head.cellIndex, body = head.closest("table").tBodies[0];
  const key = row => row.cells[place].dataset.value;
  const down = head.dataset.down = head.dataset.down === "1" ? "0" : "1";
  [...body.rows].sort((one, other) => {
    const a = key(one), b = key(other), numbers = a - b;
    const order = isNaN(numbers) ? a.localeCompare(b) : numbers;
    return down === "1" ? -order : order;
  }).forEach(row => body.append(row));
});
"""


class Page:
    """An HTML page, built from top to bottom.

    Args:
        title: String.
    """

    def __init__(self, title: str):
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        """Start a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def note(self, text: str) -> None:
        """Add a paragraph in small print."""
        self._parts.append(f'<p class="note">{html.escape(text)}</p>')

    def figure(self, file: pathlib.Path, caption: str) -> None:
        """Add a picture, whose content becomes a part of the page.

        Args:
            file: Path of a PNG file.
            caption: String.
        """
        data = base64.b64encode(file.read_bytes()).decode("ascii")
        caption = html.escape(caption)
        self._parts.append(
            f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )

    def table(self, header: Sequence[str], rows: Iterable[Sequence]) -> None:
        """Add a table that a click on a column header sorts.

        Args:
            header: Sequence of strings.
            rows: Iterable of rows of the same length; cells of `None` are
                empty.
        """
        heads = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        lines = "".join(
            f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows
        )
        self._parts.append(
            f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n'
            f"<tbody>{lines}</tbody></table></div>"
        )

    def write(self, file: pathlib.Path) -> None:
        """Write the page to a file, which it replaces at once."""
        body = "\n".join(self._parts)
        text = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f"<title>{html.escape(self.title)}</title>"
            f"<style>{_CSS}</style></head>\n"
            f"<body>{body}<script>{_SCRIPT}</script></body></html>\n"
        )
        with replacing(file) as opened:
            opened.write(text.encode("utf-8"))


def _cell(value: Any) -> str:
    if value is None:
        return '<td data-value=""></td>'
    number = isinstance(value, int | float) and not isinstance(value, bool)
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    kind = ' class="number"' if number else ""
    exact = html.escape(repr(value) if number else str(value))
    return f'<td{kind} data-value="{exact}">{html.escape(shown)}</td>'
