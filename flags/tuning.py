"""Flags of a sweep: the space, the oracle, the budget, the folder."""

from typing import Any

from absl import flags

from cb.errors import argument_error

TITLE = "Search"

flags.DEFINE_string(
    "experiment",
    "search",
    "search (by --oracle), optimization, random_search, reproduction, or "
    "evaluation or optimization_evaluation of earlier sweeps, --from.",
)
flags.DEFINE_string(
    "space",
    "digits",
    "What is searched: a YAML file, or a published space such as mnist, "
    "electricity or cifar10. Flags that are given are not searched.",
)
flags.DEFINE_string(
    "oracle",
    None,
    "What chooses: 'pareto(sampler=\"tpe\")', latin_hypercube, random, grid, "
    "bayesian or hyperband; by default as the experiment has it.",
)
flags.DEFINE_list(
    "objectives",
    None,
    "Metrics and costs of a run, such as val_error,inference_flops, or with "
    "a direction val_accuracy:max. Default: error, inference_flops and "
    "training_flops.",
)
flags.DEFINE_list(
    "constraints",
    None,
    "Largest values allowed, such as inference_flops<=1e6. Costs are known "
    "before a training, which is then left out.",
)
flags.DEFINE_integer(
    "max_trials",
    None,
    "Trials at most; default: the budget of the space.",
    lower_bound=1,
)
flags.DEFINE_list(
    "folds",
    None,
    "Folds that each configuration is raced over, such as 1/5,2/5.",
)
flags.DEFINE_list("seeds", None, "Seeds of the runs; default: --seed.")
flags.DEFINE_string("directory", "sweep", "Folder of the sweep.")
flags.DEFINE_list(
    "from", None, "Folders of the earlier sweeps that an evaluation is of."
)
flags.DEFINE_list(
    "compare",
    None,
    "Run nothing; draw the sweeps in these folders side by side in "
    "--directory.",
)
flags.DEFINE_float(
    "trial_seconds", None, "The longest that a run may take.", lower_bound=0.0
)
flags.DEFINE_float(
    "trial_gigabytes",
    None,
    "The most memory that a run's process may use.",
    lower_bound=0.0,
)


ARGUMENTS = (
    "constraints",
    "directory",
    "experiment",
    "folds",
    "max_trials",
    "objectives",
    "oracle",
    "space",
)


def settings() -> dict[str, Any]:
    """Return the arguments of `cb.tuning.sweep.SweepSettings` that were given.

    Raises:
        InputError: If a seed is no integer.
    """
    values = flags.FLAGS
    found = {name: values[name].value for name in ARGUMENTS}
    found["earlier"] = values["from"].value
    if values.seeds:
        if not all(seed.strip().isdecimal() for seed in values.seeds):
            raise argument_error("seeds", "integers", ",".join(values.seeds))
        found["seeds"] = [int(seed) for seed in values.seeds]
    return {name: value for name, value in found.items() if value is not None}


def limits() -> dict[str, float | None]:
    """Return the arguments of `cb.tuning.worker.Limits`."""
    values = flags.FLAGS
    return {
        "seconds": values.trial_seconds,
        "gigabytes": values.trial_gigabytes,
    }


def compared() -> list[str]:
    """Return the folders of the sweeps to draw, if nothing is to be run."""
    return flags.FLAGS.compare or []
