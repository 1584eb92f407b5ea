"""Report of one sweep or of several side by side."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from cb.errors import InputError
from cb.errors import argument_error
from cb.plots.page import Page
from cb.tuning import figures
from cb.tuning.reading import Sweep
from cb.tuning.reading import read_sweep
from cb.tuning.results import ABOUT
from cb.tuning.results import IDENTITY


def write(
    folders: Sequence[pathlib.Path], to: pathlib.Path
) -> pathlib.Path | None:
    """Draw sweeps as files and on one page.

    Args:
        folders: Sequence of paths, of sweeps with the same objectives.
        to: Path of the folder of the report.

    Returns:
        Path of the page; `None` if no trial is complete yet.

    Raises:
        InputError: If a folder holds no sweep, objectives differ, or `to`
            cannot be written.
    """
    sweeps = [read_sweep(folder) for folder in folders]
    if len({sweep.label for sweep in sweeps}) < len(sweeps):
        # Figures and files have the labels in their names.
        sweeps = [
            dataclasses.replace(sweep, label="_".join(folder.parts).strip("/_"))
            for sweep, folder in zip(sweeps, folders, strict=True)
        ]
    for sweep in sweeps:
        if sweep.objectives != sweeps[0].objectives:
            raise InputError(
                "Sweeps must have the same objectives to be compared. "
                f"Received: {sweeps[0].label} with {sweeps[0].columns}, "
                f"{sweep.label} with {sweep.columns}"
            )
    if not all(sweep.points for sweep in sweeps):
        return None
    make_folder(to)
    page = Page(" · ".join(sweep.label for sweep in sweeps))
    for sweep in sweeps:
        page.note(f"{sweep.label}: {_summary(sweep)}")
    for caption, file in figures.draw_all(sweeps, to):
        page.figure(file, caption)
    for sweep in sweeps:
        page.heading(f"All runs of {sweep.label}" if sweeps[1:] else "All runs")
        _add_table(page, sweep)
    file = to / "index.html"
    page.write(file)
    return file


def make_folder(folder: pathlib.Path) -> None:
    """Create the folder of a sweep or a report if needed.

    Args:
        folder: Path.

    Raises:
        InputError: If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise argument_error(
            "directory", "a folder that can be written", str(folder)
        )


def _summary(sweep: Sweep) -> str:
    about = sweep.about
    trials = len({row["trial"] for row in sweep.rows})
    front = int((sweep.layers() == 0).sum())
    folds = ", ".join(about["folds"])
    raced = f"raced over folds {folds}" if folds else "one hold-out, no folds"
    return (
        f"{about['experiment']} by {about['oracle']}, {trials} trials, "
        f"{len(sweep.points)} complete, {front} on the front of "
        f"{len(sweep.objectives)} objectives; {raced}; seeds "
        f"{', '.join(map(str, about['seeds']))}. Failed, infeasible "
        "and outraced runs are only in the table."
    )


def _add_table(page: Page, sweep: Sweep) -> None:
    """Add a row for each run, with the layer of its trial."""
    layers = {
        point.runs[0]["trial"]: int(layer)
        for point, layer in zip(sweep.points, sweep.layers(), strict=True)
    }
    measured = sweep.about["columns"].values()
    about = [name for name in ABOUT if name != "trial"]
    header = ["trial", "layer", *measured, *sweep.parameters, *IDENTITY, *about]
    header = [*dict.fromkeys(header)]
    rows = [{"layer": layers.get(row["trial"]), **row} for row in sweep.rows]
    page.table(header, [[row.get(name) for name in header] for row in rows])
