"""Results of the published tables: a CSV file for each, a number a line."""

import csv
import io
import math
import os
import pathlib
import platform
import shlex
import subprocess
import time
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from cb.errors import InputError
from cb.files import replacing

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "experiments" / "results"
# What a result depends on, besides the flags, which stand beside it.
CODE = ("cb", "flags", "train.py", "experiments/*.yaml")
DONE, DIVERGED = "done", "diverged"
# Flags that say where a run is or how fast, not what.
NO_PROTOCOL = ("run_dir", "data_dir", "initialize_from", "steps_per_execution")


class Result(NamedTuple):
    """A line: one number of one run.

    Attributes:
        experiment: String, `source/what`.
        seed: Integer.
        name: String, what was measured; empty for a run that diverged.
        value: Float, or `None` for a run that diverged.
        status: `DONE` or `DIVERGED`.
        date: String, when the run ended.
        hardware: String.
        commit: String, the last one that changed the code of trainings.
        flags: String, those of the protocol.
    """

    experiment: str
    seed: int
    name: str
    value: float | None
    status: str
    date: str
    hardware: str
    commit: str
    flags: str


def read(table: str, folder: pathlib.Path = FOLDER) -> list[Result]:
    """Return the results of a table, none if there are none yet.

    Raises:
        InputError: If the file is not as `append` has written it.
    """
    file = folder / f"{table}.csv"
    if not file.exists():
        return []
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            return _parsed(opened, file)
    except OSError as error:
        raise _damaged(file, error) from error


def _parsed(text: Iterable[str], file: pathlib.Path) -> list[Result]:
    """Return the results in the lines of a file."""
    found: dict[tuple, Result] = {}
    lines, place = csv.reader(text), "its first line"
    try:
        head = next(lines, [])
        if tuple(head) != Result._fields:
            raise ValueError(f"columns {', '.join(head)[:200] or 'none'}")
        for line in lines:
            place = f"line {lines.line_num}"
            one = _result(line)
            key = (one.experiment, one.seed, one.name, one.flags)
            if key in found:
                raise ValueError("a result that stands there already")
            found[key] = one
    except (ValueError, csv.Error) as error:
        raise _damaged(file, f"{error} ({place})") from error
    return [*found.values()]


def _damaged(file: pathlib.Path, received: object) -> InputError:
    return InputError(
        f"File {str(file)!r} must have lines of "
        f"{', '.join(Result._fields)}. Received: {received}"
    )


def _result(line: Sequence[str]) -> Result:
    if len(line) != len(Result._fields):
        raise ValueError(f"{len(line)} values")
    texts = dict(zip(Result._fields, line, strict=True))
    seed, value, status = (texts[key] for key in ("seed", "value", "status"))
    if not seed.isdecimal():
        raise ValueError(f"seed {seed!r}")
    if not all(texts[key] for key in ("experiment", "date", "commit")):
        raise ValueError("an empty value")
    number = None
    if status == DONE and texts["name"]:
        number = float(value)
        is_percent = texts["name"].startswith(("accuracy", "error, %"))
        if not math.isfinite(number) or is_percent and not 0 <= number <= 100:
            raise ValueError(f"{texts['name']} {value}")
    elif (status, texts["name"], value) != (DIVERGED, "", ""):
        raise ValueError(f"{texts['name']!r} {value!r} {status!r}")
    return Result(**{**texts, "seed": int(seed), "value": number})


def append(
    table: str, results: Iterable[Result], folder: pathlib.Path = FOLDER
) -> None:
    """Add lines to the file of a table, all of them or none.

    Raises:
        InputError: If the file is not as this function has written it, or
            would not be with these lines.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{table}.csv"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Result._fields)
    writer.writerows([*read(table, folder), *results])
    # What cannot be read would be the end of all results that are there.
    _parsed(text.getvalue().splitlines(), file)
    with replacing(file) as opened:
        opened.write(text.getvalue().encode("utf-8"))


def of_run(
    experiment: str,
    seed: int,
    flags: Mapping[str, object],
    commit: str,
    numbers: Mapping[str, float] | None,
) -> list[Result]:
    """Return the lines of a run that has just ended.

    Args:
        experiment: String, `source/what`.
        seed: Integer.
        flags: Dict of the flags of the experiment.
        commit: String, from `code_commit`; several with spaces between.
        numbers: Dict of what was measured to its value; `None` if the run
            diverged.
    """
    common = (time.strftime("%Y-%m-%d"), hardware(), commit, protocol(flags))
    if numbers is None:
        return [Result(experiment, seed, "", None, DIVERGED, *common)]
    return [
        Result(experiment, seed, name, round(value, 6), DONE, *common)
        for name, value in numbers.items()
    ]


def protocol(flags: Mapping[str, object]) -> str:
    """Return the flags of a protocol as they are written in a shell."""
    return shlex.join(
        f"--{name}={value}"
        for name, value in flags.items()
        if name not in NO_PROTOCOL
    )


def hardware() -> str:
    """Return the processor and how many cores of it there are."""
    name = platform.processor() or platform.machine()
    file = pathlib.Path("/proc/cpuinfo")
    if file.exists():
        found = [
            line.partition(":")[2].strip()
            for line in file.read_text().splitlines()
            if line.startswith("model name")
        ]
        name = found[0] if found else name
    return f"{name}, one of {os.cpu_count()} cores"


def code_commit() -> str:
    """Return the last commit that changed the code of trainings.

    Raises:
        InputError: If there is none, or the code differs from it.
    """
    if changed := _git("status", "--porcelain", "--", *CODE):
        files = [line.split(maxsplit=1)[1] for line in changed.splitlines()]
        raise InputError(
            "Tables are run from a committed state, so that their numbers can "
            f"be had again. Received: changes in {', '.join(files[:5])}"
        )
    commit = _git("log", "-1", "--format=%h", "--abbrev=10", "--", *CODE)
    if not commit:
        raise InputError(
            f"The code of tables must be committed. Received: {ROOT}, whose "
            f"history has none of {', '.join(CODE)}"
        )
    return commit


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(
            "Tables are run in a clone of the repository, whose commit stands "
            f"beside their numbers. Received: {ROOT}, where git fails"
        ) from error


def check_commits(
    results: Iterable[Result], commit: str, mixed: bool = False
) -> None:
    """Refuse a commit other than that of the results.

    Args:
        results: Those of a table.
        commit: String, that of now.
        mixed: Boolean, whether other commits are allowed.

    Raises:
        InputError: If it is another.
    """
    found = {one for result in results for one in result.commit.split()}
    others = sorted(found - {commit})
    if others and not mixed:
        raise InputError(
            "Results of a table must come from one commit. `--mix_commits` "
            "adds to those of others, `--results=FOLDER` begins new ones. "
            f"Received: {commit}, and {', '.join(others)} in the file"
        )
