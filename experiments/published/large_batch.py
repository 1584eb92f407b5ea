"""Large batches: F1 on MNIST, the row of the poster."""

from experiments.published import Cell
from experiments.published import Table
from experiments.tables.big_batch import COLUMNS

TABLE = Table(
    name="large_batch",
    title="F1 on MNIST with large batches",
    source="Hoffer et al., 2017 (https://arxiv.org/abs/1705.08741), poster; "
    "the best epoch on the test set, of one run.",
    protocol="Batches of 128 and of 4096, 50 epochs (1,600 with the adapted "
    "regime), the regime of the code; the last epoch is scored.",
    goal="The order and the size of the four effects; each column has what "
    "those before it have.",
    axis="batch",
    cells=tuple(
        Cell(
            experiment=f"big_batch/f1_{column}",
            row=title,
            column="128" if column == "sb" else "4096",
        )
        for column, title in COLUMNS.items()
    ),
)
