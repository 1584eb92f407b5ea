"""Verdicts on a command run in two trees, in one line each."""

import re
from typing import NamedTuple

from tools.same_commands import Command
from tools.same_comparison import compare
from tools.same_comparison import first_line
from tools.same_recording import Recording

# Parts that vary between runs: times, and sizes of files that depend on them.
TIMES = re.compile(
    r"[\d.,]+(e[-+]?\d+)?(?= ?(ms|s|MB)\b)|(?<=SavedModel )[\d,]+"
)
# Lines printed after some seconds of silence, or about the fastest form.
PROGRESS = re.compile(
    r"\s+evaluating, |(epoch \d+/\d+)?\s+step |No gain: |Fastest: "
)
# Texts of latency measurements are numbers throughout.
TIMED = {
    "auto_tune",
    "export_compact",
    "export_sparse",
    "old_run",
    "profile",
}
NUMBERS = re.compile(r"[\d.,]*\d")


class Verdict(NamedTuple):
    """The verdict on a command.

    Attributes:
        text: String: `same`, the first difference, or the tree that lacks the
            command.
        failed: Boolean, whether the difference counts.
        notes: List of strings, differences that do not count.
    """

    text: str
    failed: bool
    notes: list[str]


def judge(command: Command, base: Recording, head: Recording) -> Verdict:
    """Compare the results of a command in two trees.

    Args:
        command: `Command`.
        base: `Recording`.
        head: `Recording`.

    Returns:
        `Verdict`.
    """
    refusals = {"BASE": base.refusal, "HEAD": head.refusal}
    absent = {k: line for k, line in refusals.items() if line is not None}
    if len(absent) == 1:
        ((side, line),) = absent.items()
        return Verdict(f"did not exist in {side}: {line}", False, [])
    wrong = [one for one in (base, head) if not one.right]
    if wrong:
        step, last = len(wrong[0].ended), wrong[0].ended[-1]
        codes = " / ".join(str(one.ended[-1].code) for one in (base, head))
        line = f"step {step} ended with {codes}: {last.errors}"
        return Verdict(f"differs: {line}", True, [])
    found = compare(base.folder, head.folder, command.left_out)
    differences, notes = list(found.differences), list(found.notes)
    if command.equal:
        one, other = (head.folder / name for name in command.equal)
        within = compare(one, other, ("run/checkpoints/previous.npz",))
        where = f"{command.equal[1]} in HEAD"
        differences += [f"{where}: {line}" for line in within.differences]
    notes += texts(command, base, head)
    if not differences:
        return Verdict("same", False, notes)
    more = f" (and {len(differences) - 1} more)" if differences[1:] else ""
    return Verdict(f"differs: {differences[0]}{more}", True, notes)


def texts(command: Command, base: Recording, head: Recording) -> list[str]:
    """Return the differences of the printed texts, except for times."""
    notes = []
    for number, step in enumerate(command.steps):
        if step.kill_after and not command.made_by_base:
            # Later text depends on the moment of the kill.
            break
        old, new = (
            untimed(one.ended[number].output, command.name in TIMED)
            for one in (base, head)
        )
        notes += [
            f"text of step {number + 1}, {x}" for x in first_line(old, new)
        ]
    return notes


def untimed(text: str, timed: bool) -> str:
    """Return a text without the parts that vary between runs."""
    lines = [line for line in text.split("\n") if not PROGRESS.match(line)]
    text = (NUMBERS if timed else TIMES).sub("", "\n".join(lines))
    return "\n".join(" ".join(line.split()) for line in text.split("\n"))
