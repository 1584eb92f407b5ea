"""Lesion study: scores a trained network with some of its blocks removed."""

import numpy as np

from cb.bundles import lesion
from cb.bundles.lesion import Draw
from cb.bundles.lesion import Lesion
from cb.errors import InputError
from cb.evaluation.conflicts import NUM_SAMPLES
from cb.evaluation.opened_run import OpenedRun
from cb.metrics.recorder import BRANCHES
from cb.metrics.recorder import Amplitude
from cb.metrics.recorder import Recorder
from cb.models.lesion import additions
from cb.models.lesion import drop_blocks
from cb.models.lesion import droppable
from cb.plots.conflicts import draw_lesion
from cb.runs.long_csv import LESION_HEADER
from cb.runs.long_csv import LongCsv
from cb.text import wrapped
from cb.training.compilation import training_step
from cb.training.data import training_sample
from cb.training.scoring import score

NO_LESION = Draw("none", 0, 0, ())


def evaluate_lesion(
    run: OpenedRun,
    study: str = "lesion",
    num_samples: int = NUM_SAMPLES,
    amplitude: Amplitude = "layer",
) -> list[tuple[Draw, float]]:
    """Score a checkpoint of a run without some of its blocks.

    Blocks of residual networks are judged by what they add to their
    shortcuts, others by their outputs. Dropped blocks are not computed.
    Every score is on all test examples and appended to `lesion.csv` at
    once; the same command again computes only what is missing there.

    Args:
        run: `OpenedRun`.
        study: Spec of `cb.bundles.lesion.Lesion`.
        num_samples: Integer, training examples to measure bundles with.
        amplitude: `"layer"`, or `"model"` as published.

    Returns:
        List of `Draw` and test accuracy; the first drops nothing.

    Raises:
        InputError: If an argument is wrong, several checkpoints are named,
            or the model has no blocks that can be dropped.
    """
    settings: Lesion = lesion.parse(study)
    run.require_single("lesion")
    if not droppable(run.model):
        raise InputError(
            "Argument `lesion` needs a model with blocks that can be left "
            "out, such as fnn, bundle_vgg or bundle_resnet. "
            f"Received: model={run.config.model!r}"
        )
    step = run.load(run.checkpoint)["step"]
    entropies = block_entropies(run, num_samples, amplitude)
    chosen = lesion.draws(settings, entropies, run.config.seed)
    conflicts = [k for k in entropies if entropies[k] > settings.tolerance]
    text = (
        f"Conflicting by {num_samples} training examples: {len(conflicts)} of "
        f"{len(entropies)} blocks that can be dropped:"
    )
    print(wrapped([*text.split(), str(conflicts)], " "))
    cache = _ScoreCache(run, step)
    print("| blocks | dropped | draws | accuracy | deviation |")
    print("|---|---|---|---|---|")
    results: list[tuple[Draw, float]] = []
    for row in _rows([NO_LESION, *chosen]):
        scores = [cache.accuracy(draw) for draw in row]
        results += zip(row, scores, strict=True)
        print(
            f"| {row[0].among} | {row[0].blocks} | {len(row)} "
            f"| {np.mean(scores):.4f} | {np.std(scores):.4f} |",
            flush=True,
        )
    figure = run.results.lesion_file.with_suffix(".png")
    draw_lesion([(d.among, d.blocks, a) for d, a in results], figure)
    print(f"scores  {run.results.lesion_file}")
    print(f"figure  {figure}")
    return results


def block_entropies(
    run: OpenedRun, num_samples: int, amplitude: Amplitude = "layer"
) -> dict[int, float]:
    """Measure the bundles of the blocks that can be dropped.

    Args:
        run: `OpenedRun` with the weights of a checkpoint.
        num_samples: Integer.
        amplitude: As in `evaluate_lesion`.

    Returns:
        Dict of the number of a block to its entropy.
    """
    x, labels = training_sample(run.config, run.data, num_samples)
    layers = BRANCHES if additions(run.model) else "all"
    classes = run.data.source.num_classes
    step = training_step(run.config, run.data.training_length())
    measured = Recorder(run.model, layers, amplitude).measure(
        x, labels, num_classes=classes, **step
    )
    entropies = {item.layer: item.entropy for item in measured}
    return {k: entropies[f"block_{k}"] for k in droppable(run.model)}


def _rows(draws: list[Draw]) -> list[list[Draw]]:
    """Group the draws that are averaged together."""
    rows: dict[tuple[str, int], list[Draw]] = {}
    for draw in draws:
        rows.setdefault((draw.among, draw.blocks), []).append(draw)
    return list(rows.values())


class _ScoreCache:
    """Accuracies by dropped blocks, kept in `lesion.csv`."""

    def __init__(self, run: OpenedRun, step: int):
        self._run = run
        self._step = step
        if run.data_changed:
            # Its scores are on other examples.
            run.results.lesion_file.unlink(missing_ok=True)
        self._file = LongCsv(run.results.lesion_file, LESION_HEADER)
        rows = self._file.read() if self._file.size() else []
        self._written = {tuple(row.values())[:5] for row in rows}
        self._scores = {
            row["dropped"]: float(row["value"])
            for row in rows
            if (row["step"], row["name"]) == (str(step), "accuracy")
        }

    def accuracy(self, draw: Draw) -> float:
        """Return the accuracy without the blocks of a draw, and record it."""
        dropped = " ".join(map(str, draw.dropped))
        if dropped not in self._scores:
            self._scores[dropped] = _accuracy(self._run, draw.dropped)
        place = (self._step, draw.among, draw.blocks, draw.draw, dropped)
        if tuple(map(str, place)) not in self._written:
            self._file.append([(*place, "accuracy", self._scores[dropped])])
        return self._scores[dropped]


def _accuracy(run: OpenedRun, dropped: tuple[int, ...]) -> float:
    model = run.model
    if dropped:
        with model.distribute_strategy.scope():
            model = drop_blocks(model, dropped)
    outputs = model.predict(run.data.test, verbose=0)
    return score(outputs, run.data.source.test.labels)["accuracy"]
