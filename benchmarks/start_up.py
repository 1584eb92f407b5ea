"""Time to the first line, the first step and the end of a short training.

Every case is a process of its own, and takes turns with what it is compared
with. What is measured goes into `start_up.csv` and onto `start_up.md`.

    python -m benchmarks.start_up
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

from benchmarks import tables  # noqa: E402
from cb.errors import guarded  # noqa: E402

TURNS = flags.DEFINE_integer("turns", 5, "Turns of each case.")
SPARSITY = flags.DEFINE_float(
    "sparsity", None, "Time the first step of a network of this sparsity only."
)
FILE = pathlib.Path(__file__).with_suffix(".csv")
ROOT = FILE.parents[1]
IMPORT, TRAIN, LINE = "import", "digits", "line"
DENSE, SPARSE = "dense", "sparse"
FIRST_STEP = [sys.executable, "-m", "benchmarks.start_up"]


def seconds_of(command):
    """Run a command; return the seconds to its first line and to its end."""
    start = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        process.stdout.readline()
        line = time.monotonic() - start
        process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"{command} failed.")
    return line, time.monotonic() - start


def training():
    """Train by the default command; return what `seconds_of` does."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "train.py", "--dataset=digits"]
        return seconds_of([*command, f"--run_dir={folder}/run"])


def first_step(sparsity):
    """Return the seconds to the first step of a network, in a process."""
    command = [*FIRST_STEP, f"--sparsity={sparsity}"]
    found = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(found.stdout.split()[-1])


def to_first_step(sparsity):
    """Return the seconds from building a network to the end of a step."""
    import keras

    import cb
    from benchmarks.networks import NETWORKS

    build, size = NETWORKS["wide_resnet_28_2"]
    x = keras.random.uniform((size, 32, 32, 3), seed=0)
    y = keras.ops.zeros(size, "int32")
    start = time.perf_counter()
    model, callbacks = build(keras), []
    if sparsity:
        model = cb.sparsify(model, sparsity)
        callbacks = [cb.callbacks.Reallocation("rigl", dataset=(x, y))]
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    ended = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: print(
            time.perf_counter() - start
        )
    )
    model.fit(x, y, size, verbose=0, callbacks=[*callbacks, ended])


def measured():
    """Return the seconds of every case, turn by turn."""
    found = {name: [] for name in (IMPORT, TRAIN, LINE, DENSE, SPARSE)}
    imports = [sys.executable, "-c", "import tensorflow, keras"]
    for _ in range(TURNS.value):
        found[IMPORT].append(seconds_of(imports)[1])
        line, end = training()
        found[LINE].append(line)
        found[TRAIN].append(end)
        found[DENSE].append(first_step(0.0))
        found[SPARSE].append(first_step(0.9))
    return found


def rows(found):
    """Return the lines of the table."""
    median = {name: statistics.median(found[name]) for name in found}
    least = {name: min(found[name]) for name in found}

    def row(case, name, goal):
        goals = " ".join(
            f"{goal(of):.2f}" if of is median else f"({goal(of):.2f})"
            for of in (median, least)
        )
        seconds = f"{median[name]:.2f} ({least[name]:.2f})"
        return {"case": case, "seconds": seconds, "goal": goals}

    return [
        row("`import tensorflow, keras`", IMPORT, lambda of: of[IMPORT]),
        row("`train.py`, first line", LINE, lambda of: 1.0),
        row("`train.py`, end", TRAIN, lambda of: 1.4 * of[IMPORT] + 1.0),
        row("WRN-28-2, dense, first step", DENSE, lambda of: of[DENSE]),
        row("WRN-28-2, sparse, first step", SPARSE, lambda of: 1.2 * of[DENSE]),
    ]


def main(arguments):
    """Measure all, or one first step."""
    del arguments
    if SPARSITY.value is not None:
        to_first_step(SPARSITY.value)
        return
    origin = dict(
        zip(("date", "processor", "commit"), tables.origin(), strict=True)
    )
    table = {row["case"]: row | origin for row in rows(measured())}
    columns = [*next(iter(table.values()))]
    tables.write(FILE, columns, table)
    head = ["case", "seconds", "at most", "date", "processor", "commit"]
    lines = [
        *("| " + " | ".join(head) + " |", "|---" * len(head) + "|"),
        *("| " + " | ".join(row.values()) + " |" for row in table.values()),
    ]
    tables.renew(FILE.with_suffix(".md"), "\n".join(lines))
    print(*lines, sep="\n")


if __name__ == "__main__":
    guarded(lambda: app.run(main))
