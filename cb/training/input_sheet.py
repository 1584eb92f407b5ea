"""Picture of a model's input: the same examples in several epochs."""

import io
import textwrap

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from cb.run_log import Sink
from cb.runs.directory import RunDirectory
from cb.seeds import generator
from cb.training.data import Data

ROWS, EPOCHS = 8, 7
BINS, MOST_FEATURES = 30, 63
DOTS_PER_INCH = 100
# Letters in a line of the title.
WIDTH = 120


def write_input_sheet(
    data: Data, run: RunDirectory, log: Sink, seed: int
) -> str:
    """Write `input.png` into the folder of a run, and log it.

    Args:
        data: `Data`.
        run: `RunDirectory`.
        log: `Sink`.
        seed: Integer, to choose the examples.

    Returns:
        String, the path of the picture.
    """
    images = len(data.source.input_shape) == 3
    figure = (_images if images else _features)(data, seed)
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", dpi=DOTS_PER_INCH)
    run.input_sheet.write_bytes(encoded.getvalue())
    image = tf.io.decode_png(encoded.getvalue()).numpy()
    log.images(0, {"input": image}, "input")
    return str(run.input_sheet)


def _images(data: Data, seed: int) -> Figure:
    """Draw a row for each example: as evaluated, then as in each epoch."""
    chosen = _chosen(data, seed, ROWS)
    columns = [data.sample(chosen).numpy()]
    columns += [
        data.batches.view(chosen, epoch).numpy() for epoch in range(EPOCHS)
    ]
    figure = Figure(figsize=(1 + EPOCHS + 1, len(chosen) + 0.8))
    title = f"{data.source.name}: {data.batches.chain}"
    figure.suptitle("\n".join(textwrap.wrap(title, WIDTH)[:2]), size=8)
    grid = figure.subplots(len(chosen), 1 + EPOCHS, squeeze=False)
    for place, row in enumerate(grid):
        shown = np.stack([column[place] for column in columns])
        low, high = shown.min(), shown.max()
        shown = (shown - low) / max(high - low, 1e-6)
        label = int(data.examples.labels[chosen[place]])
        row[0].set_ylabel(
            _name(data, label), rotation=0, ha="right", va="center", size=9
        )
        for axes, image in zip(row, shown, strict=True):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1)
    grid[0][0].set_title("evaluation", size=9)
    for epoch in range(EPOCHS):
        grid[0][1 + epoch].set_title(f"epoch {epoch + 1}", size=9)
    figure.subplots_adjust(0.13, 0.02, 0.99, 0.92, 0.05, 0.05)
    return figure


def _features(data: Data, seed: int) -> Figure:
    """Draw a histogram of each feature for each class."""
    chosen = _chosen(data, seed, 2000)
    table = data.batches.view(chosen, 0).numpy().reshape(len(chosen), -1)
    table, labels = table[:, :MOST_FEATURES], data.examples.labels[chosen]
    columns = min(table.shape[1], 7)
    rows = -(-table.shape[1] // columns)
    figure = Figure(figsize=(2 * columns, 1.6 * rows + 0.8))
    figure.suptitle(
        f"{data.source.name}: features of {len(chosen)} training examples, "
        "as trained on, by class",
        size=10,
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[table.shape[1] :]:
        axes.set_axis_off()
    for number, axes in zip(range(table.shape[1]), grid.flat, strict=False):
        _histograms(axes, data, table[:, number], labels)
        axes.set_title(f"feature {number}", size=8)
    grid[0][0].legend(fontsize=7)
    figure.tight_layout()
    return figure


def _histograms(axes, data, values, labels):
    low, high = np.percentile(values, [0.5, 99.5])
    bins = np.linspace(low, max(high, low + 1e-6), BINS)
    for label in np.unique(labels)[:10]:
        axes.hist(
            values[labels == label],
            bins,
            density=True,
            histtype="step",
            label=_name(data, int(label)),
        )
    axes.tick_params(labelsize=6)
    axes.set_yticks([])


def _chosen(data: Data, seed: int, number: int) -> np.ndarray:
    number = min(number, len(data.examples))
    random = generator(seed, "input sheet")
    return np.sort(random.choice(len(data.examples), number, replace=False))


def _name(data: Data, label: int) -> str:
    names = data.source.class_names
    return names[label] if names else str(label)
