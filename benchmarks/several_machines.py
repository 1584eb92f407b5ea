"""Time until workers stop when one fails, and the bytes that they send.

    python -m benchmarks.several_machines

Two processes on loopback, of which the first is the chief. A failure is timed
from the signal to the end of all others; what is sent, from the counter of
the loopback interface (Linux), is compared with the formulas in
`docs/several_machines.md`.
"""

import contextlib
import pathlib
import signal
import socket
import statistics
import tempfile
import time

from cb.launch import free_ports
from tests.workers import alone
from tests.workers import cluster
from tests.workers import finish
from tests.workers import pass_steps
from tests.workers import worker_flags

REPEATS, STEPS, TIMEOUT = 5, 40, 5
ENDLESS = ["--epochs=100000", "--print_every=1", "--run_dir=run"]
WIDE = ["--model=mlp(units=(1024, 1024))", "--sparsity=0.9"]
# Trainable weights, and those of them that have masks.
WEIGHTS = 65 * 1024 + 1025 * 1024 + 1025 * 10
MASKED = 64 * 1024 + 1024 * 1024 + 1024 * 10


def seconds_to_stop(number, index, survivors):
    """Send a signal to a worker; return how long others take to end."""
    with tempfile.TemporaryDirectory() as folder:
        with cluster(2, ENDLESS, pathlib.Path(folder)) as workers:
            # Past the first epoch, at whose end most is still to be traced.
            pass_steps(workers[0], 30)
            start = time.perf_counter()
            workers[index].send(number)
            codes, _ = finish([workers[place] for place in survivors])
            return time.perf_counter() - start, {*codes}


def seconds_of_waiting(index, seen):
    """Return how long a worker waits for one that does not join."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    flags = [*ENDLESS, *worker_flags(hosts, index)]
    flags.append(f"--worker_timeout={TIMEOUT}")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if seen:
            port = int(hosts[1 - index].rpartition(":")[2])
            server = socket.create_server(("127.0.0.1", port))
            stack.enter_context(server)
        start = time.perf_counter()
        code, _ = stack.enter_context(alone(flags, folder)).finish()
        return time.perf_counter() - start, {code}


def print_times(what, measure, *arguments):
    """Print one line of the table of failures."""
    found = [measure(*arguments) for _ in range(REPEATS)]
    times = [seconds for seconds, _ in found]
    codes = {code for _, ended in found for code in ended}
    print(
        f"| {what} | {REPEATS} | {statistics.median(times):.1f} s "
        f"| {max(times):.1f} s | {', '.join(map(str, codes))} |",
        flush=True,
    )


def bytes_of_a_step(algorithm):
    """Return what one worker sends in a step."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [*ENDLESS, *WIDE, f"--reallocation={algorithm}"]
        # Between two epochs more is sent.
        flags += ["--dataset=digits", "--batch_size=10"]
        with cluster(2, flags, pathlib.Path(folder)) as workers:
            pass_steps(workers[0], 10)
            before = received()
            pass_steps(workers[0], STEPS)
            return (received() - before) / STEPS / len(workers)


def received():
    """Return the bytes that have come by the loopback interface."""
    lines = pathlib.Path("/proc/net/dev").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.split()[0] == "lo:")


def print_traffic(algorithm, expected):
    """Print one line of the table of traffic."""
    measured = bytes_of_a_step(algorithm)
    print(
        f"| `{algorithm}` | {expected / 1e6:.2f} MB | {measured / 1e6:.2f} MB |"
    )


def main():
    """Print the two tables."""
    print("| what happens | times | median | worst | exit codes |")
    print("|---|---|---|---|---|")
    for index, who in enumerate(("the chief", "the other")):
        rest = [1 - index]
        for number, name in (
            (signal.SIGKILL, "killed"),
            (signal.SIGSTOP, "frozen"),
        ):
            print_times(
                f"{who} is {name}", seconds_to_stop, number, index, rest
            )
    print_times(
        "SIGTERM to the other", seconds_to_stop, signal.SIGTERM, 1, [0, 1]
    )
    for index, who in enumerate(("the other", "the chief")):
        for seen, what in ((False, "never comes"), (True, "never joins")):
            print_times(
                f"{who} {what}, `--worker_timeout={TIMEOUT}`",
                seconds_of_waiting,
                index,
                seen,
            )
    print("\n| step with | on paper | measured |")
    print("|---|---|---|")
    print_traffic("static", 4 * WEIGHTS)
    print_traffic("set(every=1, end=1.0)", 4 * WEIGHTS + 2 * MASKED)
    print_traffic("rigl(every=1, end=1.0)", 4 * WEIGHTS + 6 * MASKED)
    print_traffic("discover_wirings", 4 * WEIGHTS + MASKED)


if __name__ == "__main__":
    main()
