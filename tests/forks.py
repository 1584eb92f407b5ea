"""Processes that have imported TensorFlow when they begin.

A server process imports it once and forks. Each fork is a process of its own
that can be killed, and starts TensorFlow's runtime itself.
"""

import ctypes
import gc
import multiprocessing
import os
import runpy
import signal
import sys

from tests.commands import ROOT

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = (
    "cb.training.train",
    "cb.evaluation.scores",
    "flags.command",
    "sklearn.datasets",
)
CONTEXT.set_forkserver_preload([*PRELOADED])


def redirect(folder, output, errors, seconds):
    """Let this process work in a folder and print into two descriptors."""
    # The server says nothing of modules that it cannot import.
    assert {*PRELOADED} <= {*sys.modules}
    # Collections would visit, and so copy, all that was imported.
    gc.freeze()
    # A process that hangs ends by itself, whatever becomes of the test.
    signal.alarm(seconds)
    os.chdir(folder)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def drop_privileges():
    """Let the modes of files count in this process, the superuser's too."""
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    # Effective and permitted, without CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH.
    data[0], data[1] = data[0] & ~0b110, data[1] & ~0b110
    assert libc.capset(header, data) == 0


def set_variable(name, value):
    """Set a variable of the environment of this process."""
    os.environ[name] = value


def run_script(script, flags):
    """Do in this process what `python script flags` does."""
    # A user has not set what keeps the tests themselves quiet.
    os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
    file = str(ROOT / script)
    sys.argv = [file, *flags]
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.path.insert(0, os.path.dirname(file))
    runpy.run_path(file, run_name="__main__")
