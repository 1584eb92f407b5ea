"""Shows that a change of the code has not changed its behaviour.

Runs the commands of `tools/same_commands.py` in two trees and compares the
files that they write bit for bit, as in `tools/same_comparison.py`.
"""

import argparse
import contextlib
import fcntl
import hashlib
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence

from tools.same_commands import BY_NAME
from tools.same_commands import COMMANDS
from tools.same_commands import Command
from tools.same_commands import chain
from tools.same_recording import INPUT_ERROR
from tools.same_recording import Recorder
from tools.same_recording import Recording
from tools.same_verdicts import Verdict
from tools.same_verdicts import judge

ROOT = pathlib.Path(__file__).resolve().parents[1]
DIFFERENT, INTERRUPTED = 1, 130


class BadInput(Exception):
    """An argument is wrong; the message is the whole story."""


class Parser(argparse.ArgumentParser):
    """Reports wrong arguments in one line."""

    def error(self, message):
        """Stop, as for all bad input."""
        raise BadInput(message)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(prog="python -m tools.same", description=__doc__)
    parser.add_argument("--base", required=True, help="a revision of Git")
    parser.add_argument(
        "--head", default=str(ROOT), help="folder of a tree; this by default"
    )
    parser.add_argument(
        "--work",
        default=str(pathlib.Path(tempfile.gettempdir()) / "cb_same"),
        help="folder for what is recorded; that of BASE is kept and used again",
    )
    parser.add_argument(
        "--only", default="", help="names of commands, joined by commas"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Compare the trees and print one line for each command.

    Args:
        arguments: List of strings, the command line.

    Returns:
        Integer, the exit code: 0 if everything is the same, else 1.

    Raises:
        BadInput: If a revision, a folder or a name is unknown.
    """
    given = parse(arguments)
    commit = commit_of(given.base)
    commands = chosen(given.only)
    head = pathlib.Path(given.head).resolve()
    if not (head / "cb").is_dir():
        raise BadInput(f"--head must be a tree of the project: {given.head}")
    work = pathlib.Path(given.work).resolve()
    own = hashlib.sha256(str(head).encode()).hexdigest()[:8]
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--work cannot be written: {error}") from error
    kept = work / commit
    with locked(kept):
        base = Recorder(work / "trees" / commit, kept, kept)
        before = record_base(base, commit, commands)
    with locked(work / f"head_{own}") as folder:
        after = record(Recorder(head, folder, kept), commands)
        verdicts = {
            command.name: judge(command, old, new)
            for command, old, new in zip(commands, before, after, strict=True)
        }
    return report(verdicts)


def commit_of(revision: str) -> str:
    """Return the full hash of a revision."""
    name = f"{revision}^{{commit}}"
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", name)
    if found.returncode:
        raise BadInput(
            "--base must be a revision of this repository, as in `make same "
            f"BASE=HEAD~1`. Received: {revision!r}"
        )
    return found.stdout.strip()


def git(*words: str) -> subprocess.CompletedProcess:
    """Run Git on the repository that this file is in."""
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, text=True
    )


def chosen(only: str) -> list[Command]:
    """Return the requested commands and those that they depend on."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in BY_NAME:
            raise BadInput(
                f"Unknown command in --only: {name!r}. Expected some of "
                f"{sorted(BY_NAME)}"
            )
    needed = {
        one.name for name in names or BY_NAME for one in chain(BY_NAME[name])
    }
    return [command for command in COMMANDS if command.name in needed]


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Create a folder and lock it against other comparisons."""
    folder.mkdir(exist_ok=True)
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder


@contextlib.contextmanager
def worktree(commit: str, path: pathlib.Path) -> Iterator[None]:
    """Check out a commit in a temporary worktree."""
    git("worktree", "remove", "--force", str(path))
    made = git("worktree", "add", "--force", "--detach", str(path), commit)
    if made.returncode:
        raise BadInput(f"Git: {made.stderr.strip().splitlines()[-1]}")
    try:
        yield
    finally:
        git("worktree", "remove", "--force", str(path))


def record_base(
    recorder: Recorder, commit: str, commands: Sequence[Command]
) -> list[Recording]:
    """Return the recordings of BASE, recording those that are missing."""
    kept = [recorder.kept(command) for command in commands]
    found = [one for one in kept if one is not None]
    if len(found) == len(kept):
        return found
    with worktree(commit, recorder.tree):
        return record(recorder, commands, keep=True)


def record(
    recorder: Recorder, commands: Sequence[Command], keep: bool = False
) -> list[Recording]:
    """Run commands in a tree, then the models that they exported.

    Args:
        recorder: `Recorder`.
        commands: List of `Command`.
        keep: Boolean, whether to reuse earlier recordings.

    Returns:
        List of `Recording`.
    """
    found = []
    for number, command in enumerate(commands, start=1):
        recording = recorder.kept(command) if keep else None
        if recording is None:
            where = f"[{number}/{len(commands)}] {recorder.folder.name[:12]}"
            print(f"{where} {command.name}", file=sys.stderr, flush=True)
            recording = recorder.record(command)
        found.append(recording)
    recorder.record_outputs(commands)
    return found


def report(verdicts: dict[str, Verdict]) -> int:
    """Print one line for each command, then notes; return the exit code."""
    width = max(len(name) for name in verdicts)
    for name, verdict in verdicts.items():
        print(f"{name:<{width}}  {verdict.text}")
    notes = [(name, n) for name, v in verdicts.items() for n in v.notes]
    if notes:
        print("\nNot counted as differences:")
    for name, note in notes:
        print(f"{name}: {note}")
    failed = sum(verdict.failed for verdict in verdicts.values())
    same = sum(verdict.text == "same" for verdict in verdicts.values())
    rest = len(verdicts) - failed - same
    print(
        f"\n{same} same, {failed} differ, {rest} did not exist in one of the "
        "trees"
    )
    return DIFFERENT if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BadInput as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(INPUT_ERROR)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
