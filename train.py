"""Train a sparse model; the same command again goes on where it stopped.

Without flags: a perceptron at 90 % sparsity on embedded digits.
"""

from cb.registry import parse_spec
from flags import command
from flags import data
from flags import experiment
from flags import model
from flags import optimization
from flags import run
from flags.quiet import quiet_stderr


def main():
    """Train the run that the flags describe."""
    config, sources = experiment()
    # TensorFlow takes seconds to import; `--help` and typos need it not.
    with quiet_stderr():
        from cb.auto_tuning.run import tune
        from cb.training.train import train
    tuned = parse_spec(config.auto_tune).name != "none"
    (tune if tuned else train)(config, sources)


if __name__ == "__main__":
    command.run(main, [data, model, optimization, run])
