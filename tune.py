"""Search hyperparameters; run the same command again to resume.

Every training flag is a fixed part of all runs. Without flags: a small
search of sparse perceptrons on embedded digits.
"""

from flags import command
from flags import training
from flags import tuning
from flags.quiet import keras_imported


def main():
    """Run the sweep that the flags describe."""
    arguments, limits = tuning.settings(), tuning.limits()
    compared, layers = tuning.compared(), training.layers()
    # TensorFlow takes seconds to import. Not needed for `--help` or to reject
    # typos.
    with keras_imported():
        from cb.tuning.plan import FixedConfiguration
        from cb.tuning.sweep import SweepSettings
        from cb.tuning.sweep import compare
        from cb.tuning.sweep import sweep
        from cb.tuning.worker import Limits
    if compared:
        compare(compared, arguments["directory"])
        return
    sweep(
        SweepSettings(**arguments, limits=Limits(**limits)),
        FixedConfiguration(*layers),
    )


if __name__ == "__main__":
    command.run(main, [tuning, training])
