import contextlib
import signal
import socket

import pytest

from cb.errors import INTERRUPTED
from cb.tuning.results import Results
from tests import commands
from tests.workers import alone
from tests.workers import command
from tests.workers import finish
from tests.workers import wait_for

# Trainings of one epoch.
SHORT = ("--epochs=1", "--batch_size=500", "--seed=3")


def rows(folder):
    """Return the results without what differs when repeated."""
    found = Results(folder / "results.csv").read()
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]


def test_a_sweep_stopped_in_trials_ends_as_one_that_was_not(tmp_path):
    flags = (*SHORT, "--max_trials=3")
    code, output, errors = commands.run_new(
        "tune.py", *flags, "--directory=whole", folder=tmp_path
    )
    assert (code, errors) == (0, "")
    assert "trial 3/3" in output
    assert (tmp_path / "whole/report/index.html").is_file()

    killed = [*flags, "--directory=killed"]
    with alone(killed, tmp_path, command("tune.py")) as process:
        wait_for(process, "trial 1/3")
        # It must not end before it is told to.
        process.send(signal.SIGSTOP)
        code, output, errors = commands.run("tune.py", *killed, folder=tmp_path)
        assert code == 1 and "Another process is running" in errors
        process.send(signal.SIGINT)
        process.send(signal.SIGCONT)
        code, output = process.finish()
        assert code == INTERRUPTED
        # A line of the trial may be half printed.
        assert "Interrupted. Resume with: " in output
        assert output.endswith(f"tune.py {' '.join(killed)}\n")
    with alone(killed, tmp_path, command("tune.py")) as process:
        wait_for(process, "trial 2/3")
        process.kill()
        assert process.finish()[0] == -signal.SIGKILL
    code, _, errors = commands.run(
        "tune.py", *flags, "--directory=killed", folder=tmp_path
    )
    assert (code, errors) == (0, "")
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    # Every point is had again by one command.
    assert rows(tmp_path / "whole")[0]["command"].startswith("python train.py")


def test_two_workers_share_the_trials_of_a_chief(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [
        *("--max_trials=6", "--directory=shared", "--racing=halving"),
        *("--objectives=val_error,inference_flops", "--epochs=6"),
        *("--batch_size=500", "--oracle=random", "--seed=3"),
    ]
    with contextlib.ExitStack() as stack:
        processes = []
        for name in ("chief", "worker_0", "worker_1"):
            environment = {
                "KERASTUNER_TUNER_ID": name,
                "KERASTUNER_ORACLE_IP": "127.0.0.1",
                "KERASTUNER_ORACLE_PORT": str(port),
            }
            target = command("tune.py", environment)
            processes.append(
                stack.enter_context(alone(flags, tmp_path, target))
            )
        codes, outputs = finish(processes)
    assert codes == (0, 0, 0), outputs
    found = rows(tmp_path / "shared")
    assert sorted(row["trial"] for row in found) == list("012345")
    # Of six at one epoch two or three continue to the second, one to the end.
    trained = sorted(row["epochs_trained"] for row in found)
    assert trained[:3] == [1, 1, 1] and trained[-1] == 6
    statuses = {row["status"] for row in found}
    assert statuses == {"complete", "resting"}
    assert "Report:" in outputs[0]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--objectives=val_eror"], "Unknown objective"),
        (["--compare=nowhere"], "must have a folder with `sweep.json`"),
    ],
)
def test_bad_input_is_one_line(tmp_path, flags, message):
    code, output, errors = commands.run("tune.py", *flags, folder=tmp_path)
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert not output
    assert not (tmp_path / "sweep").exists()


def test_help_lists_the_flags_before_anything_slow(tmp_path):
    code, output, _ = commands.run("tune.py", "--help", folder=tmp_path)
    assert code == 0
    for name in ("oracle", "objectives", "max_trials", "space", "sparsity"):
        assert f"--{name}" in output or f"--[no]{name}" in output
