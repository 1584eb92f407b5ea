"""Auto-tune a network of 50 layers of width 10, which does not learn MNIST.

    python -m experiments.auto_tune_fnn DATA_DIR [RUN_DIR]

For each of three seeds: depth and test accuracy before and after, and the
same depth of the start trained to its end. Adam at 1e-3, batches of 64,
three epochs, the bundles of 512 training examples after each, the published
rule `truncate`. Three minutes on one core; the same command resumes after the
last complete attempt. docs/bundles.md has the numbers.

Source: Peer et al., 2021 (https://arxiv.org/abs/2011.02956).
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cb.errors import guarded
from cb.files.quiet import quiet_stderr

with quiet_stderr():
    import keras
    import numpy as np

    import cb

SEEDS = (0, 1, 2)
BATCH, EPOCHS, DEPTH, WIDTH = 64, 3, 50, 10


def examples(part):
    """Return images in [0, 1] and labels."""
    return part.features.astype(np.float32) / 255, part.labels


def builder(seed):
    """Return what makes a compiled network of the given depth."""

    def build(blocks):
        keras.utils.set_random_seed(seed)
        model = cb.models.build(
            f"fnn(blocks={blocks}, width={WIDTH})", (28, 28, 1), 10
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(
            keras.optimizers.Adam(1e-3),
            loss,
            metrics=["accuracy"],
            steps_per_execution=16,
        )
        return model

    return build


def tune(seed, source, folder):
    """Run auto-tune for one seed and return its attempts."""
    x, y = examples(source.train)

    def train(model, callbacks, attempt):
        del attempt
        model.fit(x, y, BATCH, EPOCHS, verbose=0, callbacks=callbacks)

    def evaluate(model):
        test = model.evaluate(*examples(source.test), batch_size=500, verbose=0)
        return {"accuracy": test[1]}

    return cb.auto_tune(
        builder(seed),
        train,
        (x, y),
        BATCH,
        (DEPTH,),
        evaluate=evaluate,
        directory=folder,
        controls=("full",),
        seed=seed,
    ).attempts


def main():
    """Print one line of a table for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data_dir", help="folder of prepared data sets")
    parser.add_argument("run_dir", nargs="?", default="runs/auto_tune_fnn")
    given = parser.parse_args()
    source = cb.datasets.load("mnist", given.data_dir)
    columns = "seed kind depth outcome parameters FLOPs ms/step accuracy"
    print(f"| {columns.replace(' ', ' | ')} |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in SEEDS:
        folder = pathlib.Path(given.run_dir) / str(seed)
        for attempt in tune(seed, source, folder):
            print(
                f"| {seed} | {attempt.kind} | {attempt.blocks[0]} "
                f"| {attempt.outcome} | {attempt.parameters} "
                f"| {attempt.flops} "
                f"| {1e3 * (attempt.step_seconds or 0):.2f} "
                f"| {attempt.results['accuracy']:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    guarded(main)
