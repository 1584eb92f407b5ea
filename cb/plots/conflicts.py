"""Draws bundle entropies over layers and time, and lesion studies."""

import pathlib
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from cb.plots import style

MOST_LABELS = 25
APART = 0.06


def draw_entropies(
    entropies,
    checkpoints: Sequence[str],
    layers: Sequence[str],
    maximum: float,
    file: pathlib.Path,
) -> None:
    """Draw the entropy of layers, from top to bottom, over checkpoints.

    Args:
        entropies: Float array `(checkpoints, layers)`; values that are not
            finite stay white.
        checkpoints: Names of the checkpoints, in temporal order.
        layers: Names of the layers, in order.
        maximum: Float, entropy of the lightest colour.
        file: Path of the PNG file.
    """
    values = np.asarray(entropies, np.float64).T
    height = min(max(2.4, 0.22 * len(layers) + 1.2), 9.0)
    with style.drawing(file, size=(6.4, height)) as axes:
        image = axes.imshow(
            values, style.COLORMAP, vmin=0.0, vmax=maximum, aspect="auto"
        )
        axes.grid(False)
        axes.set_xticks(*_some(checkpoints), rotation=90)
        axes.set_yticks(*_some(layers))
        axes.set_xlabel("checkpoint")
        axes.set_title("Bundle entropy of the layers")
        axes.figure.colorbar(image, label="bundle entropy, nats")


def draw_lesion(
    results: Iterable[tuple[str, int, float]], file: pathlib.Path
) -> None:
    """Draw the accuracy without some blocks over their number.

    Args:
        results: Tuples of the group that blocks were chosen from, the number
            of removed blocks (0 for the whole network) and the accuracy.
        file: Path of the PNG file.
    """
    groups: dict[str, dict[int, list[float]]] = {}
    for group, count, accuracy in results:
        groups.setdefault(group, {}).setdefault(count, []).append(accuracy)
    drawn = [item for item in groups.items() if 0 not in item[1]]
    wholes = [scores[0][0] for scores in groups.values() if 0 in scores]
    with style.drawing(file) as axes:
        for place, (line, (group, scores)) in enumerate(
            zip(style.lines(), drawn, strict=False)
        ):
            counts = sorted(scores)
            # Side by side, so that no error bar hides another.
            shift = APART * (place - (len(drawn) - 1) / 2)
            axes.errorbar(
                [count + shift for count in counts],
                [100 * np.mean(scores[count]) for count in counts],
                [100 * np.std(scores[count]) for count in counts],
                marker="o",
                capsize=3,
                label=group.replace("_", "-"),
                **line,
            )
        for whole in wholes:
            axes.axhline(
                100 * whole, color="#444444", linestyle=":", label="whole"
            )
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("blocks dropped")
        axes.set_ylabel("test accuracy, percent")
        axes.set_title("Accuracy without blocks (bars: standard deviation)")
        style.legend(axes, len(groups))


def _some(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return positions and labels of as many ticks as are legible."""
    places = list(range(0, len(names), -(-len(names) // MOST_LABELS)))
    return places, [names[place] for place in places]
