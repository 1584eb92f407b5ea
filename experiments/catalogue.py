"""The published experiments, with the text of flagfiles and catalogue."""

import dataclasses
import importlib
from collections.abc import Mapping

from experiments.tables.reproduced import RESULTS
from experiments.tables.reproduced import Result

SOURCES = (
    "dynamic_sparse",
    "big_batch",
    "wirings",
    "autosparse",
    "bundles",
)
REPRODUCED, RUNS, GPU = "reproduced here", "runs here", "needs a GPU"
STATUSES = (REPRODUCED, RUNS, GPU)
UNKNOWN = "not published as a number"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A published run.

    Args:
        name: String, `source/what`.
        title: String, one line.
        paper: String, authors, year and address.
        table: String, where the run is in the paper or its code.
        flags: Flags of `train.py` and their values.
        expected: Float, published test accuracy in percent, or `None`.
        time: String, how long it takes on what, and how that is known.
        status: One of `STATUSES`.
        note: String, what a reader must know besides.
        ours: `Result` of running it here, or `None`.
    """

    name: str
    title: str
    paper: str
    table: str
    flags: Mapping[str, object]
    expected: float | None = None
    time: str
    status: str
    note: str = ""
    ours: Result | None = None

    @property
    def path(self) -> str:
        """Path of the flagfile."""
        return f"experiments/{self.name}.flags"

    def text(self) -> str:
        """Return the flagfile."""
        number = UNKNOWN
        if self.expected is not None:
            number = f"test accuracy {self.expected} %"
        lines = [
            self.title,
            "",
            f"Paper: {self.paper}",
            f"Table: {self.table}",
            f"Command: make experiment NAME={self.name}",
            f"Expected: {number}",
            f"Time: {self.time}",
            f"Status: {self.status}",
        ]
        if self.ours:
            result = f"test accuracy {self.ours.accuracy} %, {self.ours.how}"
            lines.append(f"Ours: {result}")
        if self.note:
            lines.append(f"Note: {self.note}")
        comments = [f"# {line}".rstrip() for line in lines]
        flags = {**self.flags, "run_dir": f"runs/{self.name}"}
        assigned = [f"--{key}={value}" for key, value in flags.items()]
        return "\n".join([*comments, *assigned]) + "\n"


def experiments() -> list[Experiment]:
    """Return all experiments, in the order of their sources."""
    return [
        _with_result(experiment)
        for source in SOURCES
        for experiment in importlib.import_module(
            f"experiments.tables.{source}"
        ).experiments()
    ]


def _with_result(experiment: Experiment) -> Experiment:
    result = RESULTS.get(experiment.name)
    if result is None:
        return experiment
    return dataclasses.replace(experiment, ours=result, status=REPRODUCED)


def header(text: str) -> dict[str, str]:
    """Read the header of a flagfile.

    Args:
        text: String, the whole file.

    Returns:
        Dict of what stands before the first colon of each line to the rest.
    """
    found = {}
    for line in text.splitlines():
        key, separator, value = line.removeprefix("# ").partition(": ")
        if line.startswith("# ") and separator:
            found[key] = value
    return found


def page() -> str:
    """Return the catalogue page."""
    lines = [
        "# Published experiments",
        "",
        "Every run of the five sources is a flagfile. `make experiment "
        "NAME=SOURCE/RUN` trains it, evaluates",
        "it on the test set and prints the published number beside ours; "
        '`FLAGS="--data_dir=DIR --seed=1"`',
        "adds flags. Flags given by hand win, so `--limit_examples=1000 "
        "--epochs=1` tries a run out, and",
        "`--dataset=\"folder(path='DIR')\"` takes ImageNet from a folder.",
        "",
        "The settings are those of the papers with the mistakes of their code "
        "corrected; the headers of the",
        "files say where that matters. `python -m experiments.write` writes "
        "the files and this page from",
        "`experiments/tables`.",
        "",
        f"Status: *{REPRODUCED}*: trained to the end on two CPU cores, the "
        f"header says when and how long; *{RUNS}*:",
        f"within hours on two CPU cores, not trained to the end yet; *{GPU}*: "
        "it would take days or more there.",
    ]
    for source in SOURCES:
        lines += ["", f"## {source}", ""]
        lines += [
            "| experiment | what | published % | ours % | status |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| [{e.name.partition('/')[2]}](../{e.path}) | {e.title} "
            f"| {'' if e.expected is None else e.expected} "
            f"| {e.ours.accuracy if e.ours else ''} | {e.status} |"
            for e in experiments()
            if e.name.startswith(f"{source}/")
        ]
    return "\n".join(lines) + "\n"
