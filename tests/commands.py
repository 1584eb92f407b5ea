"""Runs the commands of the project."""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


PATIENCE_SECONDS = 300


def start(script, *flags, folder, first=ROOT):
    """Start a command of the project in a folder of its own.

    Modules are looked for in the folder `first` before all others.
    """
    environment = {**os.environ, "PYTHONPATH": f"{first}:{ROOT}"}
    # A user has not set what keeps the tests themselves quiet.
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *flags],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_new(script, *flags, folder, first=ROOT):
    """Run a command as a user does; return code, output and errors."""
    process = start(script, *flags, folder=folder, first=first)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output, errors


def run_code(code, *arguments, folder=ROOT, typed=None, **environment):
    """Run Python code in a new process; return what it prints.

    Args:
        code: String.
        *arguments: Strings, the command line that it sees.
        folder: Path, where it runs.
        typed: String, its standard input, or `None`.
        **environment: Variables that are not those of the tests.
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        input=typed,
        text=True,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(script, *flags, folder, prepare=()):
    """Run a command as `run_new` does, without the time to import much.

    What TensorFlow prints when it is imported is not among the errors. The
    functions `prepare` are called in the process first.
    """
    from tests import forks

    with tempfile.TemporaryDirectory() as printed:
        files = [pathlib.Path(printed, name) for name in ("output", "errors")]
        process = forks.CONTEXT.Process(
            target=_run, args=(script, flags, str(folder), prepare, *files)
        )
        process.start()
        process.join()
        output, errors = (file.read_text() for file in files)
    return process.exitcode, output, errors


def _run(script, flags, folder, prepare, *files):
    from tests import forks

    for function in prepare:
        function()

    opened = [os.open(file, os.O_WRONLY | os.O_CREAT) for file in files]
    forks.redirect(folder, *opened, PATIENCE_SECONDS)
    forks.run_script(script, flags)
