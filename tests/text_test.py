"""Reports are tables of text, and of HTML in notebooks."""

import html.parser

from cb.conversion.report import Report
from cb.conversion.report import Row
from cb.text import Table
from cb.text import Tabular
from cb.text import paragraph
from cb.text import wrapped


class Cells(html.parser.HTMLParser):
    """Reads the tags and texts of a table's cells, and the text outside."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.outside, self._inside = [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._inside = tag, dict(attributes)["style"]
            self.rows[-1].append((*self._inside, ""))

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._inside = None

    def handle_data(self, data):
        if self._inside:
            self.rows[-1][-1] = (*self._inside, data)
        else:
            self.outside += data


class Costs(Tabular):
    def _table(self):
        lines = [("layer", "FLOPs"), ("<a>", "1,000")]
        return Table(lines, numbers=(1,), notes=["bytes: 8", "a & b"])


def test_a_notebook_shows_the_cells_of_the_text():
    left, right = "text-align: left", "text-align: right"
    found = Cells(Costs()._repr_html_())
    assert found.rows == [
        [("th", left, "layer"), ("th", right, "FLOPs")],
        [("td", left, "<a>"), ("td", right, "1,000")],
    ]
    assert found.outside == "bytes: 8a & b"
    assert str(Costs()).split() == (
        "layer FLOPs <a> 1,000 bytes: 8 a & b".split()
    )


def test_a_report_of_a_conversion_has_both_forms():
    report = Report([Row("dense", "Dense", 40, 4, key="0")])
    texts = [
        text for row in Cells(report._repr_html_()).rows for *_, text in row
    ]
    assert "".join(texts) == "".join(str(report).split()).replace(
        "totalmasked", "total masked"
    )


def test_lines_are_broken_between_parts_before_a_terminal_breaks_them():
    parts = [f"name_{number} 0.1234" for number in range(9)]
    lines = wrapped(parts).splitlines()
    assert max(map(len, lines)) <= 80 < len("  ".join(parts))
    assert [one for line in lines for one in line.strip().split("  ")] == parts
    assert all(line.startswith("  name_") for line in lines[1:])
    long = "runs/" + "x" * 90
    assert wrapped([long, "end"]) == f"{long}\n  end"
    assert wrapped([]) == ""


def test_a_paragraph_keeps_all_words():
    text = "a word and another " * 12
    broken = paragraph(text)
    assert broken.split() == text.split()
    assert max(map(len, broken.splitlines())) <= 80
