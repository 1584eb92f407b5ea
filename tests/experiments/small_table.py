"""A small table, and lines of its results."""

from experiments import published
from experiments import results
from experiments.published import Cell
from experiments.published import Table

DENSE, PRUNED, STATIC = (
    f"dynamic_sparse/mnist_{name}"
    for name in ("00_dense", "01_pruned_s99", "13_static_s99")
)

SMALL = Table(
    name="small",
    title="A small table",
    source="",
    protocol="",
    goal="",
    axis="sparsity",
    cells=(
        Cell(experiment=PRUNED, row="pruned", column="0.99", after=DENSE),
        Cell(experiment=STATIC, row="static", column="0.99"),
        Cell(experiment=DENSE, row="dense", column="0"),
    ),
)


def line(value, seed, status="done", flags=None, experiment=STATIC):
    """Return a line of the small table."""
    known = published.by_name()[experiment]
    return results.Result(
        experiment,
        seed,
        "accuracy" if status == "done" else "",
        value,
        status,
        "2026-11-29",
        "a machine",
        "abc",
        flags or results.protocol(known.flags),
    )
