"""Runs the commands of the project as a user does."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


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


def run(script, *flags, folder, first=ROOT):
    """Run a command to its end; return code, output and errors."""
    process = start(script, *flags, folder=folder, first=first)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors
