"""Reports are tables of text, and of HTML in notebooks."""

import html.parser

from cb.conversion.report import Report
from cb.conversion.report import Row
from cb.text import Table
from cb.text import Tabular


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
