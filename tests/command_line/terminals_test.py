"""Commands print into anything, and save when their terminal has gone."""

import fcntl
import os
import pty
import subprocess
import sys
import termios
import time

import pytest

from cb.runs import checkpoint
from tests.commands import PATIENCE_SECONDS
from tests.commands import ROOT

pytestmark = pytest.mark.slow

PRINTING = """
from cb.errors import InputError, guarded
def main():
    print("caf\\xe9 \\U0001f600 \\udce9", flush=True)
    open("file", "w").write("kept")
    raise InputError("No caf\\xe9.")
guarded(main)
"""


@pytest.mark.parametrize(
    ("closed", "encoding", "output", "errors"),
    [
        ("", "ascii", b"caf\\xe9 \\U0001f600 \\udce9\n", b"No caf\\xe9.\n"),
        ("", "latin-1", b"caf\xe9 \\U0001f600 \\udce9\n", b"No caf\xe9.\n"),
        (">&-", "utf-8", b"", "No café.\n".encode()),
        ("2>&-", "ascii", b"caf\\xe9 \\U0001f600 \\udce9\n", b""),
        ("<&- >&- 2>&-", "utf-8", b"", b""),
    ],
)
def test_any_output_will_do(tmp_path, closed, encoding, output, errors):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["PYTHONIOENCODING"] = encoding
    found = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, PRINTING],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert found.returncode == 2
    assert (found.stdout, found.stderr) == (output, errors)
    # No file has taken the number of a closed stream.
    assert (tmp_path / "file").read_text() == "kept"


FLAGS = ["--model=mlp(units=(8,))", "--limit_examples=200", "--run_dir=run"]
FLAGS += ["--save_every=100000"]


def hold_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def wait_for(file, process):
    end = time.monotonic() + PATIENCE_SECONDS
    while not (file.exists() and file.read_text().count("loss") > 1):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_training_whose_terminal_goes_is_saved(tmp_path, ignored):
    ours, theirs = pty.openpty()
    command = ["nohup"] if ignored else []
    command += [sys.executable, str(ROOT / "train.py"), *FLAGS]
    command += [f"--epochs={20 if ignored else 10000}"]
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            stdin=theirs,
            stdout=out if ignored else theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=hold_terminal,
        )
    os.close(theirs)
    wait_for(tmp_path / "run" / "metrics.csv", process)
    os.close(ours)
    assert process.wait(PATIENCE_SECONDS) == (0 if ignored else 75)
    if not ignored:
        # Nothing else has saved it so early.
        last = checkpoint.load(tmp_path / "run" / "checkpoints" / "last.npz")
        assert last.meta["step"] > 0
