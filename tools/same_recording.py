"""Runs commands in a tree and records their results."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from tools.same_commands import RUN
from tools.same_commands import Command
from tools.same_commands import Step
from tools.same_commands import chain
from tools.same_comparison import OUTPUTS

TOOLS = pathlib.Path(__file__).resolve().parent
INPUT_ERROR = 2
PATIENCE_SECONDS = 900
# Between two looks at the checkpoints, which take a few milliseconds each.
LOOK_SECONDS = 0.002
RECORD = "record.json"


@dataclasses.dataclass(frozen=True)
class Ended:
    """The end of a step.

    Attributes:
        code: Integer, the exit code; negative for a signal.
        output: String, its standard output.
        errors: String, the last line of its standard error.
        missing: Boolean, whether the tree has no such script or module.
    """

    code: int
    output: str = ""
    errors: str = ""
    missing: bool = False


@dataclasses.dataclass(frozen=True)
class Recording:
    """The result of a command.

    Attributes:
        folder: Path.
        ended: Tuple of `Ended`, one for each step that ran.
        right: Boolean, whether all steps ran and ended as expected.
    """

    folder: pathlib.Path
    ended: tuple[Ended, ...]
    right: bool

    @property
    def refusal(self) -> str | None:
        """The line with which the last step was refused, if it was."""
        last = self.ended[-1] if self.ended else None
        if last is None or not (last.missing or last.code == INPUT_ERROR):
            return None
        return last.errors


class Recorder:
    """Runs commands in one tree.

    Args:
        tree: Path, the root of the project.
        folder: Path, below which every command has its own folder.
        base: Path, the folder of the recordings of BASE, the source of files
            that only BASE makes; the same as `folder` for BASE itself.
    """

    def __init__(
        self, tree: pathlib.Path, folder: pathlib.Path, base: pathlib.Path
    ):
        self.tree = tree
        self.folder = folder
        self.base = base
        self._makes = folder == base

    def record(self, command: Command) -> Recording:
        """Run a command from an empty folder.

        Args:
            command: `Command`; the one it comes after has been recorded.

        Returns:
            `Recording`.
        """
        folder, record = self.folder / command.name, self._record(command)
        record.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        before = self._before(command)
        if before is not None and not before.right:
            ended = list(before.ended)
            folder.mkdir(parents=True)
        else:
            self._prepare(command)
            ended = list(self._run(command))
        right = len(ended) == len(command.steps) and all(
            one.code == expected(step)
            for one, step in zip(ended, command.steps, strict=False)
        )
        found = {
            "digest": digest(command),
            "ended": [dataclasses.asdict(one) for one in ended],
            "right": right,
        }
        record.write_text(json.dumps(found, indent=1), encoding="utf-8")
        return Recording(folder, tuple(ended), right)

    def kept(self, command: Command) -> Recording | None:
        """Return the recording of a command if it is there and still valid."""
        return read(self._record(command), digest(command))

    def record_outputs(self, commands: Sequence[Command]) -> None:
        """Run the exported models of all commands in one process.

        Raises:
            OSError: If one cannot be loaded.
        """
        folders = [str(self.folder / command.name) for command in commands]
        subprocess.run(
            [sys.executable, str(TOOLS / "same_outputs.py"), *folders],
            env=environment(self.tree),
            check=True,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _record(self, command: Command) -> pathlib.Path:
        return self._record_of(command.name)

    def _record_of(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.{RECORD}"

    def _before(self, command: Command) -> Recording | None:
        """Return the recording that a command continues, if any."""
        if command.after:
            return read(self._record_of(command.after))
        if command.made_by_base and not self._makes:
            made = read(self.base / f"{command.name}.{RECORD}")
            if made and len(made.ended) <= command.made_by_base:
                return made
        return None

    def _prepare(self, command: Command) -> None:
        folder = self.folder / command.name
        if command.after:
            # The command may change the export.
            ignored = shutil.ignore_patterns(f"*{OUTPUTS}")
            shutil.copytree(self.folder / command.after, folder, ignore=ignored)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in command.files.items():
            (folder / name).write_text(text, encoding="utf-8")

    def _run(self, command: Command) -> Iterator[Ended]:
        """Run the steps up to the first that ends unexpectedly."""
        folder = self.folder / command.name
        made = self.base / f"{command.name}.made"
        first = 0
        if command.made_by_base and not self._makes:
            first = command.made_by_base
            shutil.copytree(made, folder, dirs_exist_ok=True)
            kept = read(self.base / f"{command.name}.{RECORD}")
            yield from (kept.ended if kept else ())[:first]
        for number, step in enumerate(command.steps[first:], start=first + 1):
            ended = run(step, self.tree, folder)
            yield ended
            if ended.code != expected(step):
                return
            if number == command.made_by_base:
                shutil.rmtree(made, ignore_errors=True)
                shutil.copytree(folder, made)


def read(file: pathlib.Path, of: str | None = None) -> Recording | None:
    """Read a recording.

    Args:
        file: Path of its record.
        of: The digest that it must have, if any.

    Returns:
        `Recording`, or `None` if there is none or its digest differs.
    """
    if not file.is_file():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    if of is not None and found["digest"] != of:
        return None
    name = file.name.removesuffix(f".{RECORD}")
    ended = tuple(Ended(**one) for one in found["ended"])
    return Recording(file.parent / name, ended, found["right"])


def expected(step: Step) -> int:
    """Return the expected exit code of a step."""
    return -signal.SIGKILL if step.kill_after else 0


def run(step: Step, tree: pathlib.Path, folder: pathlib.Path) -> Ended:
    """Run one process, and kill it if the step asks for it.

    Args:
        step: `Step`.
        tree: Path, the root of the project.
        folder: Path, the folder of its command.

    Returns:
        `Ended`; a process that takes too long is killed.
    """
    words = [word.replace("{tree}", str(tree)) for word in step.words]
    if words[0].startswith("tools/"):
        # The tree may be older than the tool.
        words[0] = str(TOOLS / words[0].removeprefix("tools/"))
    elif words[0] != "-m":
        words[0] = str(tree / words[0])
        if not pathlib.Path(words[0]).is_file():
            text = f"no file {step.words[0]}"
            return Ended(INPUT_ERROR, errors=text, missing=True)
    where = folder / step.folder
    where.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=where,
        env=environment(tree),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        if step.kill_after:
            _wait_for_checkpoints(process, where / RUN, step.kill_after)
            process.kill()
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        _end(process)
        output, errors = process.communicate()
    finally:
        _end(process)
    last = (errors.strip().splitlines() or [""])[-1]
    last = last.replace(str(tree), "{tree}")
    # Python's own message; a failed import inside a module quotes the name.
    missing = words[0] == "-m" and f": No module named {words[1]}" in last
    return Ended(process.returncode, output, last, missing)


def environment(tree: pathlib.Path) -> Mapping[str, str]:
    """Return the environment that imports the modules of a tree."""
    return {
        **os.environ,
        "PYTHONPATH": str(tree),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def _end(process) -> None:
    """End a process and those that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _wait_for_checkpoints(process, run_dir: pathlib.Path, number: int) -> None:
    """Wait until enough checkpoints are written or the process has ended."""
    seen: set[int] = set()
    while process.poll() is None and len(seen) < number:
        time.sleep(LOOK_SECONDS)
        for file in (run_dir / "checkpoints").glob("[!.]*"):
            if file.stem == "initial":
                continue
            try:
                seen.add(file.stat().st_mtime_ns)
            except FileNotFoundError:
                continue  # It has just been renamed.


def digest(command: Command) -> str:
    """Return the digest of a command and its environment."""
    packages = sorted(
        f"{one.name}={one.version}"
        for one in importlib.metadata.distributions()
    )
    # The comparison may change without running it again.
    run = [(c.steps, c.files, c.made_by_base) for c in chain(command)]
    scripts = [
        (TOOLS / word.removeprefix("tools/")).read_text(encoding="utf-8")
        for step in command.steps
        for word in step.words
        if word.startswith("tools/")
    ]
    parts = (run, scripts, sys.version, os.cpu_count(), packages)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
