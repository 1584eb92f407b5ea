"""Every algorithm on one data set: accuracy and its deviation.

A short schedule of MNIST in one process, and the full one:

    python -m benchmarks.reallocation_table --data_dir=DIR
    python -m benchmarks.reallocation_table --data_dir=DIR --epochs=100 \
        --output=benchmarks/reallocation_table_full

Each run is a line of the CSV file; those that are there are not done again.
Algorithms have their default hyperparameters.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import collections  # noqa: E402
import csv  # noqa: E402
import itertools  # noqa: E402
import pathlib  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from cb import datasets  # noqa: E402
from cb.datasets.pipeline import TrainingBatches  # noqa: E402
from cb.datasets.pipeline import evaluation_batches  # noqa: E402
from cb.errors import guarded  # noqa: E402

DATASET = flags.DEFINE_string("dataset", "mnist", "Data set.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data.")
SPARSITIES = flags.DEFINE_list(
    "sparsities", ["0.90", "0.95", "0.98", "0.99"], "Sparsities."
)
EPOCHS = flags.DEFINE_integer("epochs", 5, "Epochs of every run.")
BATCH = flags.DEFINE_integer("batch", 100, "Batch size.")
SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of every algorithm.")
ALGORITHMS = flags.DEFINE_list("algorithms", None, "Names; all by default.")
OUTPUT = flags.DEFINE_string(
    "output", "benchmarks/reallocation_table", "Files, without .csv and .md."
)

HEADER = (
    "dataset",
    "epochs",
    "batch",
    "algorithm",
    "sparsity",
    "seed",
    "accuracy",
    "seconds",
)


def trained(name, sparsity, source, seed):
    """Train once; return model, test accuracy in percent, seconds of an epoch.

    Seconds are those of all threads of this process, median of the epochs,
    so that other work on the machine hardly counts.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    data = TrainingBatches(source.train, BATCH.value, seed)
    model = cb.models.build(
        "lenet_300_100", source.input_shape, source.num_classes
    )
    callbacks = []
    if name != "dense":
        model = cb.sparsify(model, sparsity, seed=seed)
        callbacks = [cb.callbacks.Reallocation(name, data.probe, seed=seed)]
    steps = data.steps_per_epoch * EPOCHS.value
    model.compile(
        keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(0.1, steps),
            momentum=0.9,
            nesterov=True,
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    ends = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.process_time())
    )
    model.fit(
        data.dataset(0, steps),
        epochs=EPOCHS.value,
        steps_per_epoch=data.steps_per_epoch,
        callbacks=[*callbacks, clock],
        verbose=0,
        shuffle=False,
    )
    test = evaluation_batches(source.test, 1000)
    _, accuracy = model.evaluate(test, verbose=0)
    taken = [after - before for before, after in itertools.pairwise(ends)]
    return model, 100 * accuracy, statistics.median(taken)


def cases():
    """List `(algorithm, sparsity, seed)`; a whole seed comes first."""
    names = ALGORITHMS.value or cb.reallocation.names()
    for seed in range(SEEDS.value):
        yield "dense", 0.0, seed
        for sparsity in map(float, SPARSITIES.value):
            for name in names:
                # Its sparsity is that of its groups.
                if name != "n_by_m":
                    yield name, sparsity, seed
        if "n_by_m" in names:
            yield "n_by_m", 0.5, seed


def read_runs(file):
    """Return the rows of the CSV file, those of this schedule only."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    schedule = [DATASET.value, str(EPOCHS.value), str(BATCH.value)]
    return [row for row in rows if [*row.values()][:3] == schedule]


def run_all(file):
    """Do the runs that the CSV file does not hold yet."""
    done = {
        (row["algorithm"], float(row["sparsity"]), int(row["seed"]))
        for row in read_runs(file)
    }
    source = datasets.load(DATASET.value, DATA_DIR.value)
    for case in cases():
        if case in done:
            continue
        name, sparsity, seed = case
        _, accuracy, seconds = trained(name, sparsity, source, seed)
        new = not file.exists()
        with file.open("a", newline="", encoding="utf-8") as text:
            writer = csv.writer(text)
            if new:
                writer.writerow(HEADER)
            schedule = (DATASET.value, EPOCHS.value, BATCH.value)
            numbers = (f"{accuracy:.2f}", f"{seconds:.3f}")
            writer.writerow([*schedule, *case, *numbers])
        print(*case, *numbers, flush=True)


def report(rows):
    """Return the tables of all runs, in Markdown."""
    runs = collections.defaultdict(list)
    for row in rows:
        key = row["algorithm"], float(row["sparsity"])
        runs[key].append(float(row["accuracy"]))
    lines = []
    for sparsity in sorted({s for _, s in runs if s not in (0.0, 0.5)}):
        lines += [
            f"## Sparsity {sparsity:.2f}",
            "",
            "| algorithm | accuracy, % | runs |",
            "|---|---|---|",
        ]
        shown = [key for key in runs if key[1] in (sparsity, 0.0, 0.5)]
        for key in sorted(shown, key=lambda key: statistics.mean(runs[key])):
            lines.append(_line(key, runs))
        lines.append("")
    return "\n".join(lines)


def _line(key, runs):
    name = "n_by_m (half of the weights)" if key[1] == 0.5 else key[0]
    text = f"{statistics.mean(runs[key]):.2f}"
    if len(runs[key]) > 1:
        text += f" ± {statistics.stdev(runs[key]):.2f}"
    return f"| {name} | {text} | {len(runs[key])} |"


def introduction(rows):
    """Say what the tables show."""
    return f"""# Every algorithm on `{DATASET.value}`, LeNet-300-100

{time.strftime("%Y-%m-%d")}, one thread of a shared Intel Xeon. A short
schedule: {EPOCHS.value} epochs of batches of {BATCH.value}; SGD with Nesterov
momentum 0.9 and a learning rate that falls from 0.1 to zero along a cosine, no
weight decay; all of the training examples. Sparsity is shared out by `erk`.
Algorithms have their default hyperparameters, fixed beforehand; nothing was
chosen on these figures.

    python -m benchmarks.reallocation_table --dataset={DATASET.value} \\
        --data_dir=DIR --epochs={EPOCHS.value}

Mean and standard deviation of single runs of the test accuracies of as many
runs as are done, last epoch, all test examples, lowest first. No published
numbers stand beside these: their trainings are twenty times as long, and
[published_tables.md](../docs/published_tables.md) compares them with ours of
the same length. (Earlier versions of this page quoted 97.54 for
`dynamic_sparse` at 0.99 from a CSV file of its source; the five raw runs that
lie beside the file give 97.75, which is used there.) What algorithms cost is
measured in [reallocation_cost.md](reallocation_cost.md): the seconds of these
runs, beside which others ran, are in the CSV file only.
"""


def main(arguments):
    """Do what is missing, then write both files."""
    del arguments
    # One thread, so that runs may continue beside other work.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    output = pathlib.Path(OUTPUT.value)
    runs = output.with_suffix(".csv")
    run_all(runs)
    rows = read_runs(runs)
    text = f"{introduction(rows)}\n{report(rows)}"
    output.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    guarded(lambda: app.run(main))
