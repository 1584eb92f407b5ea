"""Train a sparse model; run the same command again to resume.

Without flags: a perceptron at 90 % sparsity on embedded digits.
"""

from cb.registry import parse_spec

from .. import training
from ..quiet import keras_imported

FLAGS = (training,)


def main():
    """Train the run that the flags describe."""
    config, sources = training.experiment()
    specs = config.model, config.dataset, config.strategy
    model, data, strategy = (parse_spec(spec).name for spec in specs)
    # Of several workers only the chief prints, and none knows yet who that is.
    if strategy != "multi_worker":
        print(f"Importing TensorFlow to train {model} on {data}", flush=True)
    # It takes seconds. Not needed for `--help` or to reject typos.
    with keras_imported():
        from cb.auto_tuning.run import tune
        from cb.training.train import train
    tuned = parse_spec(config.auto_tune).name != "none"
    (tune if tuned else train)(config, sources)
