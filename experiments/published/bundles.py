"""Conflicting bundles: perceptrons that do not learn MNIST."""

import subprocess
import sys

from cb.runs.long_csv import CONFLICTS_HEADER
from cb.runs.long_csv import LongCsv
from experiments import results
from experiments.published import Cell
from experiments.published import Table
from experiments.published import last_accuracy
from experiments.tables.bundles import PERCEPTRONS


def conflicts(run):
    """Return accuracy, and the bundles of the last block.

    Args:
        run: `RunDirectory` of a finished run, whose bundles are measured.
    """
    command = [
        sys.executable,
        str(results.ROOT / "evaluate.py"),
        f"--run_dir={run.path}",
        "--all_conflict_layers",
        "--published_columns",
    ]
    subprocess.run(command, cwd=results.ROOT, check=True, capture_output=True)
    rows = [
        row
        for row in LongCsv(run.conflicts_file, CONFLICTS_HEADER).read()
        if row["checkpoint"] == "last"
    ]
    found = {
        row["name"]: float(row["value"])
        for row in rows
        if row["layer"] == rows[-1]["layer"]
    }
    return {
        **last_accuracy(run),
        "bundles of the last block": found["bundles"],
        "bundle entropy, nats": found["entropy"],
    }


TABLE = Table(
    name="bundles",
    title="Conflicting bundles in perceptrons on MNIST",
    source="Peer et al., 2021 (https://arxiv.org/abs/2011.02956), figures "
    "without numbers.",
    protocol="Batches of 64, rectified Adam with lookahead at 1e-3; 50 epochs "
    "(two for 150 layers); bundles of 512 training examples at the end, by the "
    "amplitude of the whole model as published.",
    goal="Conflicts in the last block mark the networks that do not learn.",
    axis="width",
    cells=tuple(
        Cell(
            experiment=f"bundles/{name}",
            row=f"{depth} layers",
            column=f"{width}",
        )
        for name, depth, width, _, _ in PERCEPTRONS
    ),
    measure=conflicts,
)
