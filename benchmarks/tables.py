"""Tables of benchmarks: a CSV file, and its lines on a page."""

import csv
import datetime
import os
import pathlib
import re
import subprocess
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


def origin() -> tuple[str, str, str]:
    """Return the date, the processor and the commit of a measurement."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    name = next(line for line in lines if line.startswith("model name"))
    command = ["git", "rev-parse", "--short=10", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True)
    return (
        datetime.date.today().isoformat(),
        f"{name.partition(':')[2].strip()}, {os.cpu_count()} cores",
        commit.stdout.strip(),
    )
