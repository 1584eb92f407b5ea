"""Numbers of a run in long form, so that a metric may appear late."""

import csv
import os
import pathlib
from collections.abc import Iterable

METRICS_HEADER = ("step", "epoch", "name", "value")
EVALUATION_HEADER = ("checkpoint", "split", "name", "value")
CONFLICTS_HEADER = ("checkpoint", "layer", "name", "value")
LESION_HEADER = (
    "step",
    "among",
    "blocks",
    "draw",
    "dropped",
    "name",
    "value",
)


class LongCsv:
    """A CSV file that rows are appended to.

    Args:
        file: Path.
        header: Names of the columns; the last holds numbers.
        writes: Boolean, whether this process is the one that writes.
    """

    def __init__(
        self, file: pathlib.Path, header: tuple[str, ...], writes: bool = True
    ):
        self.file = file
        self.header = header
        self.writes = writes

    def append(self, rows: Iterable[tuple]) -> None:
        """Append rows and have them on disk when this returns."""
        if not self.writes:
            return
        new = not self.file.exists() or self.file.stat().st_size == 0
        with open(self.file, "a", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            if new:
                writer.writerow(self.header)
            for row in rows:
                # `repr` gives back the very same float when read.
                writer.writerow([*row[:-1], repr(float(row[-1]))])
            opened.flush()
            os.fsync(opened.fileno())

    def size(self) -> int:
        """Return the number of bytes, 0 if there is no file."""
        return self.file.stat().st_size if self.file.exists() else 0

    def cut(self, size: int) -> None:
        """Cut the file back to a number of bytes."""
        if self.writes and self.file.exists():
            os.truncate(self.file, size)

    def read(self) -> list[dict[str, str]]:
        """Return the rows as dicts of column to text.

        A last line that is still being written is left out.
        """
        text = self.file.read_text(encoding="utf-8")
        return list(csv.DictReader(text.split("\n")[:-1]))
