"""Each worker's own account of a training."""

import contextlib
import pathlib
import sys
from collections.abc import Iterator

from cb.runs.directory import RunDirectory


def worker_log(run: RunDirectory, index: int) -> pathlib.Path:
    """Return where a worker logs: beside the run folder, which it is not in.

    Args:
        run: `RunDirectory`.
        index: Integer, of the worker.
    """
    return run.path.with_name(f"{run.path.name}.worker_{index}.log")


@contextlib.contextmanager
def logged(run: RunDirectory, index: int, workers: int) -> Iterator[None]:
    """Write what is printed to the worker's log; the chief's is shown too.

    Args:
        run: `RunDirectory`.
        index: Integer, of this worker.
        workers: Integer; with one, nothing is logged.
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
    """A terminal whose text is kept in a file too."""

    def __init__(self, terminal, file):
        self._terminal = terminal
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(text)
        return self._terminal.write(text)

    def __getattr__(self, name):
        return getattr(self._terminal, name)
