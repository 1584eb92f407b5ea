"""The pages of experiments and tables, made of definitions and results."""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Mapping
from collections.abc import Sequence

from cb.errors import InputError
from experiments import published
from experiments import results
from experiments.catalogue import GPU
from experiments.catalogue import RUNS
from experiments.catalogue import SOURCES
from experiments.catalogue import Experiment
from experiments.catalogue import experiments
from experiments.figures import curves
from experiments.figures import has_figure
from experiments.ours import NOT_RUN
from experiments.ours import Ours
from experiments.ours import counted
from experiments.ours import of_table
from experiments.ours import shown
from experiments.published import ACCURACY
from experiments.published import ERROR
from experiments.published import Published
from experiments.published import Table

FIGURES = "figures"
REPRODUCED, DIFFERS, COMPARED = "reproduced", "differs", "compared"
# Tables of accuracy over sparsity that README shows, and where.
IN_README = ("dynamic_sparse", "sparse_learning")
BEGIN, END = "<!-- published tables -->\n", "<!-- end of tables -->\n"


def verdict(expected: Published | None, ours: Ours | None) -> str:
    """Say how a result stands to a published number."""
    if ours is None:
        return NOT_RUN
    done = len(ours.values) + ours.diverged
    if done < published.ENOUGH:
        return f"{done} of {published.ENOUGH} seeds"
    if expected is None:
        return ""
    agrees = expected.agrees(ours.values, ours.diverged)
    if agrees is None:
        return COMPARED
    return REPRODUCED if agrees else DIFFERS


def number(expected: Published, name: str = ACCURACY) -> str:
    """Return a published number as text."""
    text = shown(expected.mean, name)
    if expected.deviation is not None:
        return f"{text} ± {expected.deviation:.2f}"
    if expected.error is not None:
        return f"{text} (standard error {expected.error:g})"
    return text


def experiments_page(folder: pathlib.Path = results.FOLDER) -> str:
    """Return the catalogue page."""
    known = published.by_name()
    found: dict[str, dict[str, Ours]] = {}
    for table in published.tables().values():
        found |= of_table(table, folder)
    lines = [
        "# Published experiments",
        "",
        "Every run of the sources below is a flagfile. `make experiment "
        "NAME=SOURCE/RUN` trains it, evaluates",
        "it on the test set and prints the published number beside ours; "
        '`FLAGS="--data_dir=DIR --seed=1"`',
        "adds flags. Flags given by hand win, so `--epochs=1` tries a run out, "
        "and",
        "`--dataset=\"folder(path='DIR')\"` takes ImageNet from a folder.",
        "",
        "The settings are those of the papers with the mistakes of their code "
        "corrected; the headers of the",
        "files say where that matters. `python -m experiments.write` writes "
        "the files and this page from",
        "`experiments/tables` and `experiments/results`. Runs to the end are "
        "compared in",
        "[published_tables.md](published_tables.md).",
        "",
        "*Ours* is the mean of the seeds that were run to the end, with their "
        "standard deviation and number. Status:",
        f"*{REPRODUCED}*, *{DIFFERS}* or *{COMPARED}*: three seeds, by the "
        "goal of their table; *run to its end*: where no",
        f"number was published; *1 of {published.ENOUGH} seeds*: the others "
        f"are to come; *{RUNS}*: within hours on two CPU",
        f"cores, not trained to the end yet; *{GPU}*: it would take days or "
        "more there.",
    ]
    wanted = {
        cell.experiment: published.expected(cell, known[cell.experiment])
        for table in published.tables().values()
        for cell in table.cells
    }
    for source in SOURCES:
        lines += ["", f"## {source}", ""]
        lines += [
            "| experiment | what | published % | ours % | status |",
            "|---|---|---|---|---|",
        ]
        lines += [
            _catalogued(
                experiment,
                found.get(experiment.name, {}),
                wanted.get(experiment.name, {}),
            )
            for experiment in experiments()
            if experiment.name.startswith(f"{source}/")
        ]
    return "\n".join(lines) + "\n"


def _catalogued(
    experiment: Experiment,
    found: Mapping[str, Ours],
    wanted: Mapping[str, Published],
) -> str:
    # The last of those that were published, such as that of the last epoch.
    names = [name for name in wanted if name.startswith((ACCURACY, ERROR))]
    name = names[-1] if names else ACCURACY
    ours, status, text = found.get(name), experiment.status, ""
    if ours is not None:
        status = verdict(wanted.get(name), ours) or "run to its end"
        ours = _as_accuracy(ours)
    if (number_of := published.of_experiment(experiment)) is not None:
        text = number(number_of) + name.removeprefix(ACCURACY).removeprefix(
            ERROR
        )
    title = experiment.name.partition("/")[2]
    return (
        f"| [{title}](../{experiment.path}) | {experiment.title} | {text} "
        f"| {'' if ours is None else ours} | {status} |"
    )


def _as_accuracy(ours: Ours) -> Ours:
    if ours.name != ERROR:
        return ours
    return ours._replace(
        name=ACCURACY, values=[100 - value for value in ours.values]
    )


def tables_page(folder: pathlib.Path = results.FOLDER) -> str:
    """Return the page of the published tables."""
    lines = [
        "# Published tables, run to their end",
        "",
        "`python -m experiments.table NAME --data_dir=DIR` runs a table; the "
        "same command resumes it after a",
        "kill, and after the 90 minutes that it takes at a time. Each number "
        "of a run is a line of",
        "`experiments/results/NAME.csv`, with date, hardware, seed, commit and "
        "all flags beside it;",
        "`python -m experiments.write` makes this page and its figures from "
        "these files. What is in them is",
        "not run again: `--results=OUT --runs=OUT/runs` measures anew, and "
        "`--mix_commits` completes a table with",
        "later code.",
        "",
        "*Published* and *ours* are means, with the standard deviation of "
        "single runs after ± and the number of",
        "our seeds in brackets, or one number for each seed; accuracies are "
        "percent of the test set. Lines of other",
        "flags, of an earlier protocol, are not counted. A seed that diverged "
        "is counted, not",
        f"run again. A number is *{REPRODUCED}* or *{DIFFERS}* by the goal of "
        "its table once three seeds are there,",
        f"and *{COMPARED}* where nothing says which differences matter. Axes "
        "of figures are logarithmic in the error",
        "and in the weights that are left; bars are the standard deviation of "
        "single runs.",
        "",
        "| | runs that have ended | reproduced | differ | compared |",
        "|---|---|---|---|---|",
        *(_summary(table, folder) for table in published.tables().values()),
    ]
    for table in published.tables().values():
        lines += ["", *section(table, folder)]
    return "\n".join(lines) + "\n"


def _summary(table: Table, folder: pathlib.Path) -> str:
    """Return how many runs of a table have ended, and what came of them."""
    known, ours = published.by_name(), of_table(table, folder)
    verdicts = collections.Counter(
        verdict(wanted, ours.get(cell.experiment, {}).get(name))
        for cell in table.cells
        for name, wanted in published.expected(
            cell, known[cell.experiment]
        ).items()
    )
    planned = {
        (cell.experiment, seed)
        for cell in table.cells
        for seed in published.SEEDS
    }
    done = {(one.experiment, one.seed) for one in counted(table, folder)}
    said = (REPRODUCED, DIFFERS, COMPARED)
    numbers = " | ".join(str(verdicts[one]) for one in said)
    anchor = re.sub(r"[^\w -]", "", table.title).lower().replace(" ", "-")
    return (
        f"| [{table.title}](#{anchor}) "
        f"| {len(done & planned)} of {len(planned)} | {numbers} |"
    )


def readme(text: str, folder: pathlib.Path = results.FOLDER) -> str:
    """Return README with its table of published numbers and ours.

    Args:
        text: String, README as it is.
        folder: Path of the results.

    Raises:
        InputError: If the place of the table is not marked in it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(
            f"README must have a line {BEGIN.strip()!r} and, below it, a line "
            f"{END.strip()!r}. Received: a README without them"
        )
    lines = ["", *_readme_table(folder), "", ""]
    return f"{before}{BEGIN}" + "\n".join(lines) + f"{END}{after}"


def _readme_table(folder: pathlib.Path) -> list[str]:
    rows: list[tuple[str, dict[float, tuple[str, str]]]] = []
    for name in IN_README:
        for row, points in curves(published.tables()[name], folder).items():
            cells = {
                place: (
                    "" if wanted is None else _without_error(wanted),
                    NOT_RUN if got is None else str(got),
                )
                for place, wanted, got in points
            }
            rows.append((f"{row} ({name})", cells))
    places = sorted({place for _, cells in rows for place in cells})[::-1]
    lines = [
        f"| sparsity | | {' | '.join(f'{place:g}' for place in places)} |",
        f"|---|---|{'---|' * len(places)}",
    ]
    for row, cells in rows:
        for number, title in enumerate(("published", "ours")):
            texts = [cells.get(place, ("", ""))[number] for place in places]
            first = row if number == 0 else ""
            lines.append(f"| {first} | {title} | {' | '.join(texts)} |")
    return lines


def _without_error(expected: Published) -> str:
    # Of the mean, a standard error would be taken for a deviation.
    return number(dataclasses.replace(expected, error=None))


def section(table: Table, folder: pathlib.Path = results.FOLDER) -> list[str]:
    """Return what the page says of a table, line by line."""
    known, found = published.by_name(), of_table(table, folder)
    lines = [
        f"## {table.title}",
        "",
        f"`{table.name}`. {table.source}",
        "",
        f"*Protocol*: {table.protocol} *Goal*: {table.goal}",
        "",
        f"| | {table.axis} | what | published | ours | |",
        "|---|---|---|---|---|---|",
    ]
    for cell in table.cells:
        expected = published.expected(cell, known[cell.experiment])
        ours = found.get(cell.experiment, {})
        for name in {**expected, **ours} or (ACCURACY,):
            wanted = expected.get(name)
            got = ours.get(name)
            text = "" if got is None else str(got)
            if got is not None and table.against:
                text = got.by_seed()
            lines.append(
                f"| [{cell.row}](../{known[cell.experiment].path}) "
                f"| {cell.column} | {name} "
                f"| {'' if wanted is None else number(wanted, name)} "
                f"| {text} | {verdict(wanted, got)} |"
            )
    lines += ["", _origin(counted(table, folder))]
    if table.findings:
        lines += ["", f"*Found*: {table.findings}"]
    if has_figure(table, folder):
        lines += ["", f"![{table.title}]({FIGURES}/table_{table.name}.png)"]
    return lines


def _origin(read: Sequence[results.Result]) -> str:
    if not read:
        return "Not run yet."
    dates = sorted({result.date for result in read})
    period = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    machines = ", ".join(sorted({result.hardware for result in read}))
    commits = ", ".join(
        sorted({one for result in read for one in result.commit.split()})
    )
    return f"Ours: {period}, {machines}, commit {commits}."
