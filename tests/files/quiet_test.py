"""Standard error is held back, shown on failure, and restored."""

import logging
import os
import threading

import pytest

from cb.errors import InputError
from cb.files.quiet import quiet_stderr


def write(text):
    os.write(2, text.encode())


def test_what_is_held_back_is_shown_on_failure(capfd):
    with quiet_stderr():
        write("nothing")
    with pytest.raises(InputError), quiet_stderr():
        write("a line of its own says it")
        raise InputError
    assert capfd.readouterr().err == ""
    with pytest.raises(KeyError), quiet_stderr():
        write("reason")
        raise KeyError
    write("after")
    assert capfd.readouterr().err == "reasonafter"


def test_blocks_inside_each_other_show_what_is_held_back_once(capfd):
    with pytest.raises(KeyError), quiet_stderr():
        write("first")
        with quiet_stderr():
            write("second")
            raise KeyError
    assert capfd.readouterr().err == "firstsecond"


def test_blocks_of_threads_overlap(capfd):
    """Who comes first does not leave last."""
    logger = logging.getLogger("tensorflow")
    level, before = logger.level, os.fstat(2)
    entered, left = threading.Event(), threading.Event()

    def second():
        with quiet_stderr():
            entered.set()
            assert left.wait(60)
            write("held back")

    thread = threading.Thread(target=second)
    with quiet_stderr():
        thread.start()
        assert entered.wait(60)
    left.set()
    thread.join()
    assert os.path.samestat(os.fstat(2), before)
    assert logger.level == level
    write("seen")
    assert capfd.readouterr().err == "seen"
