"""The accuracy-efficiency trade-off on Electricity: 31 runs."""

from experiments.published import Cell
from experiments.published import Table
from experiments.tables import autosparse

TABLE = Table(
    name="trade_off",
    title="The accuracy-efficiency trade-off on Electricity",
    source=f"{autosparse.PAPER}; its numbers could not be had.",
    protocol="Three layers of 1,000 units, dropout 0.3, 200 epochs of batches "
    "of 128, learning rate 0.01, weight decay 2e-4, the same density in all "
    "kernels; an event every 300 steps until 0.8 of the training.",
    goal="The shape of the curves: the sparsity at which accuracy falls.",
    axis="sparsity",
    cells=(
        Cell(
            experiment="autosparse/electricity_dense", row="dense", column="0"
        ),
        *(
            Cell(
                experiment=autosparse.named("electricity", method, sparsity),
                row=autosparse.TEXT[method],
                column=f"{sparsity:g}",
            )
            for method in ("set", "rigl")
            for sparsity in autosparse.LEVELS
        ),
    ),
)
