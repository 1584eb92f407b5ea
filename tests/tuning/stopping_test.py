import os
import shlex
import signal
import sys

import pytest

from cb.errors import INTERRUPTED
from cb.errors import Interrupted
from cb.errors import Preempted
from cb.tuning.stopping import resumable
from cb.tuning.stopping import same_command

WORDS = ["python", "tune.py", "--directory=a  b [c]", "--max_trials=3"]


def test_the_command_that_resumes_can_be_pasted(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", WORDS)
    assert shlex.split(same_command({})) == WORDS
    worker = {"KERASTUNER_TUNER_ID": "worker_0", "HOME": "/"}
    words = shlex.split(same_command(worker))
    assert words[:2] == ["env", "KERASTUNER_TUNER_ID=worker_0"]


def test_ctrl_c_ends_with_it(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", WORDS)
    with pytest.raises(Interrupted, match="Resume with: .*tune.py") as caught:
        with resumable():
            raise KeyboardInterrupt
    assert caught.value.code == INTERRUPTED


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_so_do_the_signals_of_a_machine(monkeypatch, name):
    monkeypatch.setattr(sys, "orig_argv", WORDS)
    number = signal.Signals[name]
    # Below `nohup` SIGHUP is ignored, and would stay so.
    outside = signal.signal(number, signal.SIG_DFL)
    with pytest.raises(Preempted, match=f"Stopped by {name}. Resume with"):
        with resumable():
            os.kill(os.getpid(), number)
            signal.pause()
    assert signal.signal(number, outside) is signal.SIG_DFL
