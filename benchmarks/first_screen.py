"""The picture and the numbers that README begins with, from committed results.

    python -m benchmarks.first_screen

reads `export.csv` and `reallocation_table.csv`, and writes the block between
two comments of README and `docs/figures/first_screen.png`.
"""

import collections
import csv
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks import export_page

HERE = pathlib.Path(__file__).parent
README = HERE.parent / "README.md"
FIGURE = README.parent / "docs" / "figures" / "first_screen.png"
EXPORTS, ACCURACIES = HERE / "export.csv", HERE / "reallocation_table.csv"
BEGIN, END = "<!-- benchmarks/first_screen.py -->\n", "<!-- end -->\n"
# What a reader compares: single floats, on one thread.
COMPARED = {"granularity": "weight", "threads": "1", "batch": "1"}
SPARSITY = "0.9"
FORMS = {
    "lite, dense": "LiteRT",
    "lite": "LiteRT, zeros left out",
    "engine": "`cb`",
}
NAMES = {
    "mlp_1024": "three dense layers of 1024",
    "wrn_28_2": "WRN-28-2, 32x32 images",
    "resnet18": "ResNet-18, 32x32 images",
    "mobilenet_v2": "MobileNetV2, 96x96 images",
}
METHODS = ("magnitude_pruning", "rigl", "set", "static")
COLOURS = {"engine": "#d55e00"}


def read(file: pathlib.Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV file."""
    with open(file, encoding="utf-8", newline="") as opened:
        return [*csv.DictReader(opened)]


def networks() -> dict[str, dict[str, Any]]:
    """Return the measured rows, by network and form."""
    found: dict[str, dict[str, Any]] = collections.defaultdict(dict)
    for row in export_page.latest(read(EXPORTS)):
        if COMPARED.items() <= row.items() and row["sparsity"] == SPARSITY:
            found[row["network"]][row["form"]] = row
    return {k: found[k] for k in NAMES if FORMS.keys() <= found[k].keys()}


def block() -> str:
    """Return the lines of README between the comments."""
    lines = [
        f"| one call in float, {float(SPARSITY):.0%} zeros | "
        f"{' | '.join(FORMS.values())} |",
        "|---|" + "---|" * len(FORMS),
    ]
    for network, forms in networks().items():
        cells = [_cell(forms[form]) for form in FORMS]
        cells[-1] = f"**{cells[-1]}**"
        lines.append(f"| {NAMES[network]} | {' | '.join(cells)} |")
    row = next(iter(networks().values()))["engine"]
    lines += [
        "",
        f"(One thread of an {row['machine']}, {row['date']}, one example a "
        "call: [benchmarks/export.md](benchmarks/export.md).)",
        "",
    ]
    return "\n".join(lines)


def _cell(row: dict[str, Any]) -> str:
    megabytes = int(row["bytes"]) / 1e6
    return f"{megabytes:.2f} MB, {float(row['median_ms']):.3f} ms"


def renewed(text: str) -> str:
    """Return README with its block as the results are now."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{block()}\n{END}{after}"


def curves() -> dict[str, list[tuple[float, float]]]:
    """Return (sparsity, mean accuracy) in percent, by method."""
    found = collections.defaultdict(list)
    for row in read(ACCURACIES):
        key = row["algorithm"], 100 * float(row["sparsity"])
        found[key].append(float(row["accuracy"]))
    return {
        method: sorted(
            (sparsity, statistics.mean(values))
            for (name, sparsity), values in found.items()
            if name == method
        )
        for method in ("dense", *METHODS)
    }


def draw(file: pathlib.Path = FIGURE) -> None:
    """Draw accuracy over sparsity, and the time of a call beside it."""
    from cb.plots import style

    with style.drawing(file, (9.0, 3.4), columns=2) as (left, right):
        found = curves()
        ((_, dense),) = found.pop("dense")
        left.axhline(dense, label="dense", **style.look(None))
        for (name, points), look in zip(
            found.items(), style.lines(), strict=False
        ):
            left.plot(
                *zip(*points, strict=True), marker="o", label=name, **look
            )
        left.set_title("LeNet-300-100 on MNIST, five epochs")
        left.set_xlabel("sparsity, %")
        left.set_ylabel("test accuracy, %")
        left.set_xticks([sparsity for sparsity, _ in points])
        left.legend()
        _bars(right, *next(iter(networks().items())))


def _bars(axes, network: str, forms: dict[str, Any]) -> None:
    shown: Sequence[str] = ("engine", "lite", "lite, dense", "dense")
    names = {**FORMS, "engine": "cb", "dense": "TensorFlow"}
    rows = [forms[form] for form in shown]
    times = [float(row["median_ms"]) for row in rows]
    colours = [COLOURS.get(form, "#8c8c8c") for form in shown]
    labels = [names[form] for form in shown]
    bars = axes.barh(labels, times, color=colours)
    texts = [_cell(row) for row in rows]
    axes.bar_label(bars, texts, padding=4, fontsize=9)
    axes.set_xlim(0, 1.8 * max(times))
    axes.set_title(f"{NAMES[network]}, {float(SPARSITY):.0%} zeros")
    axes.set_xlabel("milliseconds of a call, and size of the file")
    axes.invert_yaxis()
    axes.grid(False)


def main() -> None:
    """Write README and its picture."""
    text = README.read_text(encoding="utf-8")
    README.write_text(renewed(text), encoding="utf-8")
    draw()


if __name__ == "__main__":
    main()
