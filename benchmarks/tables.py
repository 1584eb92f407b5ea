"""Tables of benchmarks: a CSV file, and its lines on a page."""

import csv
import pathlib
import re
from collections.abc import Sequence
from typing import Any

Rows = dict[str, dict[str, Any]]


def read(file: pathlib.Path) -> Rows:
    """Return the lines of a CSV file by their first column; none if new."""
    if not file.exists():
        return {}
    with open(file, encoding="utf-8", newline="") as opened:
        lines = [*csv.DictReader(opened)]
    return {next(iter(line.values())): line for line in lines}


def write(file: pathlib.Path, columns: Sequence[str], rows: Rows) -> None:
    """Write lines to a CSV file."""
    with open(file, "w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def renew(page: pathlib.Path, table: str) -> None:
    """Put a table into its place on a page."""
    text = page.read_text(encoding="utf-8")
    before, after = re.split(r"(?s)(?<=<!-- table -->\n).*(?=<!--)", text)
    page.write_text(f"{before}{table}\n{after}", encoding="utf-8")
