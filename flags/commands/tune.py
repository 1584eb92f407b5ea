"""Search hyperparameters; run the same command again to resume.

Every training flag is a fixed part of all runs. Without flags: a small
search of sparse perceptrons on embedded digits.
"""

from .. import training
from .. import tuning
from ..quiet import keras_imported
from ..quiet import quiet_stderr

FLAGS = (tuning, training)


def main():
    """Run the sweep that the flags describe."""
    arguments, compared = tuning.settings(), tuning.compared()
    limits, layers = tuning.limits(), training.layers()
    with quiet_stderr():
        from cb.tuning.plan import FixedConfiguration
        from cb.tuning.planning import SweepSettings
        from cb.tuning.planning import build_plan
        from cb.tuning.worker import Limits

        settings = SweepSettings(**arguments, limits=Limits(**limits))
        plan = not compared and build_plan(
            settings, FixedConfiguration(*layers)
        )
    # TensorFlow takes seconds to import. Not needed for `--help` or to reject
    # typos.
    with keras_imported():
        from cb.tuning.sweep import compare
        from cb.tuning.sweep import sweep
    if plan:
        sweep(settings, plan)
    else:
        reference = arguments.get("reference", ())
        compare(compared, arguments["directory"], reference)
