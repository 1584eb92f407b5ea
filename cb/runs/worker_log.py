"""Log files of the workers of a training."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator

from cb.runs.directory import RunDirectory


def worker_log(run: RunDirectory, index: int) -> pathlib.Path:
    """Return the log file of a worker, beside the run folder.

    Args:
        run: `RunDirectory`.
        index: Integer, rank of the worker.
    """
    path = pathlib.Path(os.path.abspath(run.path))
    return path.with_name(f"{path.name}.worker_{index}.log")


@contextlib.contextmanager
def logged(run: RunDirectory, index: int, workers: int) -> Iterator[None]:
    """Write standard output to the log of the worker.

    The output of the chief is shown too.

    Args:
        run: `RunDirectory`.
        index: Integer, rank of this worker.
        workers: Integer, number of workers; with one, nothing is logged.
    """
    if workers == 1:
        yield
        return
    file = worker_log(run, index)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a", encoding="utf-8", buffering=1) as log:
        shown = _Both(sys.stdout, log) if index == 0 else log
        with contextlib.redirect_stdout(shown):
            yield


class _Both:
    """A terminal whose text goes to a file too."""

    def __init__(self, terminal, file):
        self._terminal = terminal
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(text)
        return self._terminal.write(text)

    def isatty(self) -> bool:
        """Return `False`: no line may be taken back from a file."""
        return False

    def __getattr__(self, name):
        return getattr(self._terminal, name)
