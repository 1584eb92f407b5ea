"""Report of one sweep or of several side by side."""

import dataclasses
import pathlib
from collections.abc import Sequence

from cb.errors import InputError
from cb.errors import argument_error
from cb.files.folders import make_folder
from cb.plots.figure import draw
from cb.plots.page import Page
from cb.plots.page import Row as Line
from cb.tuning import figures
from cb.tuning import methods
from cb.tuning.objectives import Objective
from cb.tuning.reading import Sweep
from cb.tuning.reading import read_sweep
from cb.tuning.results import Row


def write(
    folders: Sequence[pathlib.Path],
    to: pathlib.Path,
    reference: Sequence[float] = (),
    pictures: bool = True,
) -> pathlib.Path | None:
    """Draw sweeps as files and on one page.

    Args:
        folders: Sequence of paths, of sweeps with the same objectives.
        to: Path of the folder of the report.
        reference: Sequence of floats, the reference point of hypervolumes, as
            in `cb.tuning.figures.covered`.
        pictures: Boolean, whether to draw figures as PNG files too.

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
    check_reference(reference, sweeps[0].objectives)
    if not all(sweep.points for sweep in sweeps):
        return None
    make_folder(to)
    page = Page(" · ".join(sweep.label for sweep in sweeps))
    for sweep in sweeps:
        page.note(f"{sweep.label}: {_summary(sweep)}")
    drawn = [*figures.figures(sweeps, reference)]
    for figure in drawn if pictures else ():
        draw(figure, to)
    items = {
        sweep.item(str(row["trial"])): _lines(sweep, row)
        for sweep in sweeps
        for row in sweep.rows
    }
    fronts = [figure for figure in drawn if figure.name.startswith("front")]
    page.charts(fronts, items)
    page.heading("Trials")
    _add_trials(page, sweeps)
    page.charts([figure for figure in drawn if figure not in fronts], {})
    if rows := [row for sweep in sweeps for row in methods.method_rows(sweep)]:
        page.heading("Methods at their best")
        page.table(methods.HEADER, rows)
    file = to / "index.html"
    page.write(file)
    return file


def check_reference(
    reference: Sequence[float], objectives: Sequence[Objective]
) -> None:
    """Raise `InputError` unless there is a number for each objective or none.

    Args:
        reference: Sequence of floats.
        objectives: Sequence of `Objective`.
    """
    if reference and len(reference) != len(objectives):
        names = [objective.name for objective in objectives]
        raise argument_error(
            "reference", f"a number for each of {names}", list(reference)
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
        f"{', '.join(map(str, about['seeds']))}. Failed, infeasible, "
        "outraced and resting trials are only in the table."
    )


def _lines(sweep: Sweep, row: Row) -> list[str]:
    """Return what is shown of a trial beside the pointer."""
    names = [*sweep.about["columns"].values(), *sweep.parameters]
    return [
        sweep.item(row["trial"]),
        *[f"{name}: {_short(row[name])}" for name in names if name in row],
    ]


def _short(value) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _add_trials(page: Page, sweeps: Sequence[Sweep]) -> None:
    """Add a row for each trial: the fronts first, then layer by layer."""
    measured = _measured(sweeps)
    names = [*dict.fromkeys(n for sweep in sweeps for n in sweep.parameters)]
    header = ["trial", "layer", *measured, *names, "status", "seconds"]
    header = [*dict.fromkeys(header)]
    found = []
    for sweep in sweeps:
        layers = sweep.layers()
        ranked = {
            point.runs[0]["trial"]: (int(layer), point.means)
            for point, layer in zip(sweep.points, layers, strict=True)
        }
        runs: dict[str, list[Row]] = {}
        for row in sweep.rows:
            runs.setdefault(row["trial"], []).append(row)
        first = sweep.objectives[0]
        for trial, rows in runs.items():
            layer, means = ranked.get(trial, (len(sweep.rows), {}))
            seconds = sum(row["seconds"] for row in rows)
            row = {**rows[-1], **means, "seconds": seconds}
            row["trial"] = sweep.item(trial) if sweeps[1:] else trial
            if means:
                row["layer"] = "front" if layer == 0 else str(layer + 1)
            value = means.get(first.name, first.worst)
            line = Line(
                [row.get(name) for name in header],
                item=sweep.item(trial),
                marked=layer == 0,
                details=_details(rows, measured),
            )
            found.append(((layer, first.minimized(value)), line))
    found.sort(key=lambda one: one[0])
    page.table(header, [line for _, line in found])


def _measured(sweeps: Sequence[Sweep]) -> list[str]:
    """List the measured columns, the objectives first."""
    columns = [name for sweep in sweeps for name in sweep.columns]
    for sweep in sweeps:
        columns += sweep.about["columns"].values()
    return [*dict.fromkeys(columns)]


def _details(rows: Sequence[Row], measured: Sequence[str]) -> dict[str, str]:
    """Return what a row of the table is too short for, run by run."""
    found = {}
    for row in rows:
        fold = f"fold {row['fold']}, " if "fold" in row else ""
        run = f"{fold}seed {row['seed']}: " if rows[1:] else ""
        if rows[1:]:
            found[run + "result"] = ", ".join(
                f"{name} {_short(row[name])}"
                for name in measured
                if name in row
            )
        found |= {
            run + name: row[name] for name in ("note", "command") if name in row
        }
    return {"config_id": rows[0]["config_id"], **found}
