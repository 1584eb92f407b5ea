"""Draw runs side by side, as PNG files and on one HTML page.

`python -m cb.plots runs` draws all runs in a folder, labelled by what differs.
A run may have a label: `python -m cb.plots "small batch=runs/f1_1a2b3c4d"`.
"""

import argparse
import pathlib
import sys

import cb
from cb.errors import InputError
from cb.errors import guarded
from cb.text import program


class Parser(argparse.ArgumentParser):
    """Raises errors that take one line."""

    def error(self, message):
        """Raise `InputError`."""
        raise InputError(message)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog=program("plots"), description=__doc__)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folder of a run or of runs, or LABEL=RUN; what is none is left "
        "out",
    )
    parser.add_argument(
        "--output", default="plots", help="folder of the figures and the page"
    )
    parser.add_argument(
        "--x",
        choices=("epoch", "step"),
        default="epoch",
        help="horizontal axis of the curves",
    )
    parser.add_argument(
        "--table",
        action="store_true",
        help="draw nothing; print the epochs of one run as CSV, in the "
        "columns of the published large-batch code",
    )
    parser.add_argument(
        "--version", action="version", version=f"cb {cb.__version__}"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Draw runs.

    Args:
        arguments: The command line.

    Raises:
        InputError: If it is wrong, or no folder is that of a run.
    """
    given = parse(arguments)
    # Takes a second; not needed for `--help` or to reject typos.
    from cb.plots import report
    from cb.plots import source_table
    from cb.plots.reading import read_runs

    runs, skipped = read_runs(given.runs)
    for reason in skipped:
        print(f"Left out: {reason}", file=sys.stderr)
    if given.table:
        if len(runs) > 1 or "loss" not in runs[0].series:
            raise InputError(
                "Argument `--table` needs one run with a complete epoch. "
                f"Received: {given.runs}"
            )
        source_table.write(runs[0], sys.stdout)
        return
    try:
        page = report.write(runs, pathlib.Path(given.output), given.x, skipped)
        print(page)
    except OSError as error:
        raise InputError(
            "Argument `output` must be a folder that can be written. "
            f"Received: {given.output!r} ({error.strerror})"
        ) from error


if __name__ == "__main__":
    guarded(lambda: main(sys.argv[1:]))
