"""CSV files in long form, one number per row: a metric may appear late."""

import csv
import io
import os
import pathlib
from collections.abc import Iterable

from cb.files import replacing

METRICS_HEADER = ("step", "epoch", "name", "value")
EVALUATION_HEADER = ("checkpoint", "split", "name", "value")
CONFLICTS_HEADER = ("checkpoint", "layer", "name", "value")
LESION_HEADER = ("step", "among", "blocks", "draw", "dropped", "name", "value")


class LongCsv:
    """A CSV file that rows are appended to.

    Args:
        file: Path.
        header: Names of the columns; the last holds numbers.
    """

    def __init__(self, file: pathlib.Path, header: tuple[str, ...]):
        self.file = file
        self.header = header

    def append(self, rows: Iterable[tuple]) -> None:
        """Append rows, which are on disk when this returns."""
        heads = [] if self.size() else [self.header]
        with open(self.file, "ab") as opened:
            opened.write(_encoded(heads, rows))
            opened.flush()
            os.fsync(opened.fileno())

    def replace(self, rows: Iterable[tuple]) -> None:
        """Replace all rows at once; readers see the old ones or the new."""
        with replacing(self.file) as opened:
            opened.write(_encoded([self.header], rows))

    def size(self) -> int:
        """Return the number of bytes, 0 if there is no file."""
        return self.file.stat().st_size if self.file.exists() else 0

    def cut(self, size: int) -> None:
        """Cut the file back to a number of bytes."""
        if self.file.exists():
            os.truncate(self.file, size)

    def read(self) -> list[dict[str, str]]:
        """Return the rows as dicts of column to text.

        An incomplete last line, which is being written, is left out.
        """
        text = self.file.read_text(encoding="utf-8")
        return list(csv.DictReader(text.split("\n")[:-1]))


def _encoded(heads: list[tuple], rows: Iterable[tuple]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(heads)
    # `repr` gives back the very same float when read.
    writer.writerows((*row[:-1], repr(float(row[-1]))) for row in rows)
    return text.getvalue().encode("utf-8")
