"""A launch passes on what it is told, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import textwrap
import unittest.mock

import pytest

from cb import launch
from tests.commands import ROOT

pytestmark = pytest.mark.slow

# Both print into one pipe, and may be told something while they do. Whatever
# becomes of a test, none of them outlives it for long.
SAY = """
import os, signal, sys
signal.alarm(60)
def say(text):
    os.write(1, f"{text}\\n".encode())
"""
# Says who it is, waits for a signal, notes it and ends as told.
WORKER = """
    import pathlib
    index = sys.argv[-1].partition("=")[2]
    def note(number, frame):
        pathlib.Path(f"worker_{index}").write_text(signal.Signals(number).name)
        sys.exit(CODE)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    say(os.getpid())
    signal.pause()
"""


@pytest.fixture
def start(tmp_path):
    """Return a function that launches a script on two workers."""
    launches = []

    def run(script, *before):
        file = tmp_path / "script.py"
        file.write_text(SAY + textwrap.dedent(script))
        command = [sys.executable, "-m", "cb.launch", "--num_workers=2"]
        # What runs the tests in the background ignores these, and what it
        # starts would too.
        handlers = {
            number: signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGHUP, signal.SIGINT)
        }
        process = subprocess.Popen(
            [*before, *command, str(file)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number, handler in handlers.items():
            signal.signal(number, handler)
        launches.append(process)
        return process

    yield run
    for process in launches:
        with process:
            process.kill()


def wait_for_workers(process):
    """Return the process ids of two workers that are ready."""
    return [int(process.stdout.readline()) for _ in range(2)]


def assert_gone(pids):
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("number", "expected", "code"),
    [
        (signal.SIGTERM, signal.SIGTERM, 75),
        # Workers save at this one.
        (signal.SIGHUP, signal.SIGTERM, 75),
        (signal.SIGINT, signal.SIGINT, 130),
    ],
)
def test_a_signal_goes_to_all_workers(start, tmp_path, number, expected, code):
    process = start(WORKER.replace("CODE", str(code)))
    pids = wait_for_workers(process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, "")
    for index in range(2):
        told = (tmp_path / f"worker_{index}").read_text()
        assert told == expected.name
    assert_gone(pids)


def test_who_is_told_to_ignore_a_hangup_does(start):
    process = start("say(signal.getsignal(signal.SIGHUP).name)", "nohup")
    printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed) == (0, "SIG_IGN\n" * 2)


def test_signals_that_come_early_are_passed_on_once(monkeypatch):
    told = []
    worker = unittest.mock.Mock(send_signal=told.append)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    for received, expected in (
        ([signal.SIGTERM], [signal.SIGTERM]),
        ([signal.SIGTERM, signal.SIGTERM], [signal.SIGKILL]),
    ):
        signals = launch._Signals([worker])
        for number in received:
            signals._note(number, None)
        assert not told
        signals.start_forwarding()
        assert told == expected
        told.clear()


def test_a_second_signal_ends_workers_that_ignore_the_first(start):
    process = start("""
        signal.signal(signal.SIGTERM, lambda number, frame: say("no"))
        say(os.getpid())
        while True:
            signal.pause()
    """)
    pids = wait_for_workers(process)
    process.send_signal(signal.SIGTERM)
    assert [process.stdout.readline() for _ in range(2)] == ["no\n"] * 2
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    assert_gone(pids)


def test_the_code_is_that_of_the_worker_whom_the_others_missed(start):
    process = start("""
        sys.exit(69 if sys.argv[-1].endswith("0") else 3)
    """)
    process.communicate(timeout=60)
    assert process.returncode == 3


@pytest.mark.parametrize("number", ["abc", "0", "-1", "1.5"])
def test_a_number_of_workers_is_a_positive_integer(number, capsys):
    with pytest.raises(SystemExit) as stopped:
        launch.main([f"--num_workers={number}", "train.py"])
    assert stopped.value.code == 2
    expected = f"must be an integer of at least 1, not {number!r}"
    assert expected in capsys.readouterr().err
