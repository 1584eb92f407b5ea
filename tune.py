"""Search hyperparameters; the same command again goes on where it stopped.

Every training flag is a fixed part of all runs. Without flags: a small
search of sparse perceptrons on embedded digits.
"""

from flags import command
from flags import data
from flags import layers
from flags import model
from flags import optimization
from flags import run
from flags import tuning
from flags.quiet import quiet_stderr


def main():
    """Run the sweep that the flags describe."""
    arguments, limits = tuning.settings(), tuning.limits()
    compared = tuning.compared()
    # TensorFlow takes seconds to import; `--help` and typos need it not.
    with quiet_stderr():
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
        FixedConfiguration(*layers()),
    )


if __name__ == "__main__":
    command.run(main, [tuning, data, model, optimization, run])
