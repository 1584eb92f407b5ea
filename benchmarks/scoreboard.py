"""What a newcomer needs to choose an algorithm, on one page.

Accuracies come from `reallocation_table.csv`, costs of a step and an event from
`reallocation_cost.csv`. This benchmark adds what is exported: it trains each
algorithm once by the protocol of `reallocation_table`, keeps the engine's file
and LiteRT's, and times all files in turns, which needs a quiet machine:

    python -m benchmarks.scoreboard export --data_dir=DIR
    python -m benchmarks.scoreboard time
    python -m benchmarks.scoreboard page
"""

import collections
import csv
import datetime
import functools
import pathlib
import statistics
import tempfile

import numpy as np
from absl import app
from absl import flags

import cb
from benchmarks import export
from benchmarks import export_page
from benchmarks import reallocation_table
from benchmarks import tables
from cb import datasets
from cb.costs.files import file_bytes
from cb.errors import InputError
from cb.errors import guarded
from cb.export.forms import FORMS
from cb.export.forms import Source
from cb.export.forms import ways
from cb.export.measurement import take_turns

SPARSITY = 0.95
FILES = flags.DEFINE_string(
    "files", f"{tempfile.gettempdir()}/scoreboard", "Folder of the exports."
)
ROOT = pathlib.Path(__file__).resolve().parents[1]
FILE = ROOT / "benchmarks" / "scoreboard.csv"
PAGE = ROOT / "docs" / "scoreboard.md"
COLUMNS = (
    *("algorithm", "accuracy", "flops", "bytes"),
    *("median_ms", "least_ms", "turns", "date", "machine"),
)
DENSE = "dense"
SHARES = (0.9, 0.95, 0.98, 0.99)
NETWORKS = {"mlp_784_300_100": "MLP", "wide_resnet_28_2": "WRN"}


def form_of(name):
    """Return the form in which an algorithm's network is shipped."""
    return "lite" if name == DENSE else "engine"


def export_all():
    """Train and write what was not written yet."""
    data = reallocation_table
    source = datasets.load(data.DATASET.value, data.DATA_DIR.value)
    for name in (DENSE, *cb.reallocation.names()):
        rows = tables.read(FILE)
        folder = pathlib.Path(FILES.value) / name
        if name in rows and folder.is_dir():
            continue
        sparsity = 0.5 if name == "n_by_m" else SPARSITY
        model, accuracy, _ = data.trained(name, sparsity, source, 0)
        folder.mkdir(parents=True, exist_ok=True)
        FORMS[form_of(name)].write(
            Source(model, [1], model.inputs[0]), str(folder)
        )
        rows[name] = {
            "algorithm": name,
            "accuracy": f"{accuracy:.2f}",
            "flops": cb.costs.costs(model).flops,
            "bytes": file_bytes(str(folder)),
        }
        tables.write(FILE, COLUMNS, rows)
        print(name, *rows[name].values(), flush=True)


def time():
    """Time all files in turns, at batch 1."""
    rows = tables.read(FILE)
    x = np.random.default_rng(0).random((1, 28, 28, 1), np.float32)
    calls = {}
    for name in rows:
        folder = str(pathlib.Path(FILES.value) / name)
        (way,) = ways(form_of(name), folder, [1])
        calls[name] = functools.partial(way.predict, x)
    for name, taken in take_turns(calls, 1.0).items():
        rows[name] |= {
            "median_ms": f"{1e3 * statistics.median(taken):.4f}",
            "least_ms": f"{1e3 * min(taken):.4f}",
            "turns": len(taken),
            "date": datetime.date.today(),
            "machine": export.machine(),
        }
    tables.write(FILE, COLUMNS, rows)


def spreads():
    """Return accuracies as text, by algorithm and sparsity."""
    file = pathlib.Path(reallocation_table.__file__).with_suffix(".csv")
    with open(file, encoding="utf-8", newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["epochs"] == "5"]
    found = collections.defaultdict(list)
    for row in rows:
        key = row["algorithm"], float(row["sparsity"])
        found[key].append(float(row["accuracy"]))
    return {key: f"{statistics.mean(of):.2f}" for key, of in found.items()}


def of_training():
    """Return the rows of the costs of training, by network and algorithm."""
    file = ROOT / "benchmarks" / "reallocation_cost.csv"
    rows = tables.read(file).values()
    return {(row["network"], row["algorithm"]): row for row in rows}


def page():
    """Write the table onto the page."""
    tables.renew(PAGE, table())


def table():
    """Return the lines of the table, the most accurate algorithm first."""
    accuracies, costs = spreads(), of_training()
    head = ["algorithm", *(f"{share:.0%}" for share in SHARES)]
    measured = {network for network, _ in costs}
    networks = [name for name in NETWORKS if name in measured]
    for network in networks:
        head += [f"step, {NETWORKS[network]}", f"event, {NETWORKS[network]}"]
    head += ["FLOPs", "bytes", "ms", "times as fast as LiteRT"]
    rows = tables.read(FILE)
    usual = rows[DENSE]
    lines = [export_page.line(head), export_page.line(["---"] * len(head))]

    def rank(name):
        return -float(accuracies.get((name, SPARSITY), rows[name]["accuracy"]))

    for name in sorted(rows, key=rank):
        row = rows[name]
        only = {DENSE: 0.0, "n_by_m": 0.5}.get(name)
        cells = [name]
        for share in SHARES:
            cells.append(accuracies.get((name, share), ""))
        if only is not None:
            cells[1] = accuracies.get((name, only), "")
        for network in networks:
            cost = costs.get((network, name))
            if name == DENSE:
                cells += ["1.00", ""]
            else:
                cells += [cost["step"], cost["event"]] if cost else ["", ""]
        cells += [f"{int(row['flops']):,}", f"{int(row['bytes']):,}"]
        times = [
            float(usual[which]) / float(row[which])
            for which in ("median_ms", "least_ms")
        ]
        shown = " to ".join(sorted({f"{one:.1f}" for one in times}))
        cells += [row["median_ms"], "1.0" if name == DENSE else shown]
        lines.append(export_page.line(cells))
    return "\n".join(lines)


def main(arguments):
    """Do the steps that are named."""
    steps = {"export": export_all, "time": time, "page": page}
    if not arguments[1:] or not steps.keys() >= {*arguments[1:]}:
        raise InputError(
            f"The steps must be some of {', '.join(steps)}. "
            f"Received: {' '.join(arguments[1:]) or 'none'}"
        )
    for name in arguments[1:]:
        steps[name]()


if __name__ == "__main__":
    guarded(lambda: app.run(main))
