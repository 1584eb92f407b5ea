"""The folder of a run: its paths, lock and small files."""

import contextlib
import fcntl
import json
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from cb.config import Config
from cb.config import read_file
from cb.errors import InputError
from cb.errors import Locked
from cb.errors import RunError
from cb.errors import argument_error
from cb.files import replacing
from cb.files.aliases import require_text

FORMAT = 1
# Facts about a start of a run, in `config.json`.
START = ("data", "versions", "replicas")
NOT_WRITABLE = (FileNotFoundError, NotADirectoryError, PermissionError)


class RunDirectory:
    """The paths of a run and its small files.

    Args:
        path: String, the folder; it need not exist. `~` is the user's home.
        writes: Boolean, whether this process writes to it.
    """

    def __init__(self, path: str, writes: bool = True):
        self.path = pathlib.Path(os.path.expanduser(path))
        self.writes = writes
        self.config_file = self.path / "config.json"
        self.metrics_file = self.path / "metrics.csv"
        self.evaluation_file = self.path / "evaluation.csv"
        self.conflicts_file = self.path / "conflicting_layers.csv"
        self.lesion_file = self.path / "lesion.csv"
        self.input_sheet = self.path / "input.png"
        self.summary_file = self.path / "summary.json"
        self.published = self.path / "published"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.export = self.path / "export"
        self.tracker_file = self.path / "tracker_id"

    def attempt(self, number: int) -> "RunDirectory":
        """Return the folder of an attempt of an auto-tuned run, from 0."""
        return RunDirectory(str(self.path / f"attempt_{number}"), self.writes)

    def final(self) -> "RunDirectory":
        """Return the folder of the final attempt of a finished run.

        Of a run that is not auto-tuned, that is its own.
        """
        number = (self.read_summary() or {}).get("final_attempt")
        return self if number is None else self.attempt(number)

    def read_config(self) -> Config:
        """Return the configuration of the run.

        Raises:
            InputError: If it is not the folder of a run.
        """
        if not self.config_file.is_file():
            expected = "the folder of a run, with a `config.json`"
            raise argument_error("run_dir", expected, str(self.path))
        return Config(**read_file(str(self.config_file)))

    def check(self, config: Config) -> bool:
        """Return whether the folder is that of a run already.

        Args:
            config: `Config`, complete.

        Returns:
            `True` if it is the folder of a run with this configuration;
            `False` if it is new or empty.

        Raises:
            InputError: If it holds another run or other files.
        """
        require_text("run_dir", self.path)
        try:
            empty = not self.path.exists() or not any(self.path.iterdir())
        except (OSError, ValueError) as error:
            raise self._not_writable() from error
        if empty:
            self._check_writable()
            return False
        if not self.config_file.exists():
            # What a start leaves that is killed before it has written it.
            begun = {".lock", f".{self.config_file.name}.part"}
            if {item.name for item in self.path.iterdir()} <= begun:
                return False
            raise InputError(
                "Argument `run_dir` must be new, empty or the folder of a "
                f"run. Received: run_dir={str(self.path)!r}, which holds "
                "other files"
            )
        # Defaults that a part did not have then are written out.
        before = self.read_config().completed()
        if self.read_start():
            before = before.moved_to(config)
        differences = config.differences(before)
        longer = config.epochs > before.epochs
        others = [d for d in differences if not d.startswith("epochs ")]
        if others or (differences and not longer):
            raise InputError(
                "Argument `run_dir` must be the folder of a run of these "
                f"flags. Received: run_dir={str(self.path)!r}, where "
                + "; ".join(differences)
            )
        if self.read_summary() is None:
            self._check_writable()
        return True

    def read_start(self) -> dict[str, Any]:
        """Return what was noted when the run was last started, or nothing."""
        content = self._read_content()
        return {key: content[key] for key in START if key in content}

    def write_config(
        self,
        config: Config,
        sources: dict[str, str],
        start: Mapping[str, Any] | None = None,
    ) -> None:
        """Write `config.json`: every value, and its origin.

        The lengths of earlier trainings of the same run are kept under
        `earlier_epochs`, as schedules were stretched to them.

        Args:
            config: `Config`, complete.
            sources: Dict of field to the origin of its value.
            start: Dict of the names in `START` to facts about this start, by
                default those noted before. Others are kept under
                `earlier_starts`.
        """
        before, noted = self._read_content(), self.read_start()
        earlier = before.get("earlier_epochs", [])
        if before and before["config"]["epochs"] != config.epochs:
            earlier = [*earlier, before["config"]["epochs"]]
        start = dict(start or noted)
        starts = before.get("earlier_starts", [])
        if noted and noted != start:
            starts = [*starts, noted]
        content = {
            "format": FORMAT,
            "config": config.kept(),
            "sources": sources,
            "earlier_epochs": earlier,
            **start,
            **({"earlier_starts": starts} if starts else {}),
        }
        self._write_json(self.config_file, content)

    def read_summary(self) -> dict[str, Any] | None:
        """Return the summary of a finished run, else `None`."""
        if not self.summary_file.exists():
            return None
        return json.loads(self.summary_file.read_text("utf-8"))

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write `summary.json`, which marks the run as finished."""
        self._write_json(self.summary_file, summary)

    def forget_summary(self) -> None:
        """Mark the run as unfinished."""
        if self.writes:
            self.summary_file.unlink(missing_ok=True)

    def tracker_id(self) -> str:
        """Return what names the run in trackers, as long as it has a folder."""
        if not self.tracker_file.exists():
            with replacing(self.tracker_file) as file:
                file.write(secrets.token_hex(8).encode("ascii"))
        return self.tracker_file.read_text("ascii")

    def forget_training(self) -> None:
        """Remove the files of a training that left no checkpoint."""
        if not self.writes:
            return
        for folder in (self.checkpoints, self.tensorboard):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.metrics_file, self.lesion_file):
            file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder; a process that exits releases it in any case.

        Raises:
            InputError: If the folder cannot be written.
            Locked: If another process has locked it.
            RunError: If it disappears meanwhile.
        """
        if not self.writes:
            yield
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / ".lock", "w", encoding="utf-8")
        except NOT_WRITABLE as error:
            raise self._not_writable() from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Locked(
                    f"Another process is training in {str(self.path)!r}."
                ) from None
            try:
                yield
            except FileNotFoundError as error:
                if self.path.exists() and self.config_file.exists():
                    raise
                raise RunError(
                    f"The run folder {str(self.path)!r} has disappeared, so "
                    "nothing more is written to it. Once the folder is back, "
                    "run the same command again to resume from the last "
                    "checkpoint."
                ) from error

    def _read_content(self) -> dict[str, Any]:
        if not self.config_file.exists():
            return {}
        return json.loads(self.config_file.read_text("utf-8"))

    def is_writable(self) -> bool:
        """Return whether files can be added to the folder."""
        folder = self.path
        while not folder.exists():
            folder = folder.parent
        return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)

    def _check_writable(self) -> None:
        if not self.is_writable():
            raise self._not_writable()

    def _not_writable(self) -> InputError:
        expected = "a folder that can be written"
        return argument_error("run_dir", expected, str(self.path))

    def _write_json(self, file: pathlib.Path, content: dict) -> None:
        if not self.writes:
            return
        # Not its parents: a folder that has disappeared stays away.
        self.path.mkdir(exist_ok=True)
        text = json.dumps(content, indent=2) + "\n"
        with replacing(file) as temporary:
            temporary.write(text.encode("utf-8"))
