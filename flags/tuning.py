"""Flags of a sweep: the space, the oracle, the budget, the folder."""

import os
from typing import Any

from absl import flags

from cb.registry import Count
from cb.registry import Natural
from cb.registry import NotNegative

from .typed import define

TITLE = "Search"

define(
    "experiment",
    "search",
    "search (by --oracle), optimization, random_search, reproduction, or "
    "evaluation or optimization_evaluation of earlier sweeps, --from.",
    str,
)
define(
    "space",
    "digits",
    "Search space: a YAML file, or a published one such as mnist, electricity "
    "or cifar10. Flags that are given are not searched.",
    str,
)
define(
    "oracle",
    None,
    "Algorithm that chooses: 'pareto(sampler=\"gp\")', latin_hypercube, "
    "random, grid, bayesian or hyperband. Default: that of the experiment.",
    str | None,
)
define(
    "objectives",
    None,
    "Metrics and costs of a run, such as val_error,inference_flops, or with "
    "a direction val_accuracy:max. Default: error, inference_flops and "
    "training_flops.",
    list[str] | None,
)
define(
    "constraints",
    None,
    "Largest values allowed, such as inference_flops<=1e6. Costs are known "
    "before a training, which is skipped if they are too large.",
    list[str] | None,
)
define(
    "max_trials",
    None,
    "Largest number of trials. Default: the budget of the space.",
    Count | None,
)
define(
    "folds",
    None,
    "Folds on which configurations are raced, such as 1/5,2/5.",
    list[str] | None,
)
define(
    "racing",
    "folds",
    "How bad trials are stopped: folds, compared on the first of them, or "
    "'halving(eta=3, least=0.1)', trained for a part of their epochs first.",
    str,
)
define(
    "seeds",
    None,
    "Seeds of the runs, such as 0,1,2. Default: --seed.",
    list[Natural] | None,
)
define("directory", "sweep", "Folder of the sweep.", str)
define("from", None, "Folders of the sweeps to evaluate.", list[str] | None)
define(
    "compare",
    None,
    "Folders of sweeps to draw side by side in --directory; nothing is run.",
    list[str] | None,
)
define(
    "reference",
    None,
    "Worst value of each objective that counts in the hypervolume of the "
    "report, such as 0.7,2e5,1e11. Default: a tenth of the range beyond the "
    "worst.",
    list[float] | None,
)
define(
    "storage",
    None,
    "Database of Optuna that gets the trials too, such as sqlite:///FILE, to "
    "be shown by optuna-dashboard.",
    str | None,
)
define(
    "trial_seconds",
    None,
    "Longest time of a run, in seconds.",
    NotNegative | None,
)
define(
    "trial_gigabytes",
    None,
    "Largest memory of a run's process, in gigabytes.",
    NotNegative | None,
)


# Flags that are no fields of `cb.tuning.planning.SweepSettings` by their name.
OTHERS = ("compare", "from", "trial_gigabytes", "trial_seconds")


def settings() -> dict[str, Any]:
    """Return the given fields of `cb.tuning.planning.SweepSettings`."""
    own = flags.FLAGS.get_flags_for_module(__name__)
    found = {flag.name: flag.value for flag in own if flag.name not in OTHERS}
    found["directory"] = os.path.expanduser(found["directory"])
    found["earlier"] = _folders("from")
    return {name: value for name, value in found.items() if value is not None}


def _folders(name: str) -> list[str] | None:
    given = flags.FLAGS[name].value
    return given and [os.path.expanduser(folder) for folder in given]


def limits() -> dict[str, float | None]:
    """Return the arguments of `cb.tuning.worker.Limits`."""
    found = flags.FLAGS
    return {"seconds": found.trial_seconds, "gigabytes": found.trial_gigabytes}


def compared() -> list[str]:
    """Return the folders of the sweeps to draw, if nothing is to be run."""
    return _folders("compare") or []
