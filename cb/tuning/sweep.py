"""Sweeps: from settings to results, resumed where they stopped."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import grpc
import keras_tuner
from keras_tuner.oracles import HyperbandOracle

from cb.errors import InputError
from cb.errors import RunError
from cb.errors import one_line
from cb.registry import parse_spec
from cb.tuning import checks
from cb.tuning import report
from cb.tuning.directory import SWEEP
from cb.tuning.directory import claim
from cb.tuning.directory import locked
from cb.tuning.experiments import EXPERIMENTS
from cb.tuning.plan import SweepPlan
from cb.tuning.planning import SweepSettings
from cb.tuning.progress import Progress
from cb.tuning.progress import announce
from cb.tuning.results import ABOUT
from cb.tuning.results import IDENTITY
from cb.tuning.results import RUNGS
from cb.tuning.results import Results
from cb.tuning.results import Row
from cb.tuning.runner import Runner
from cb.tuning.stopping import VARIABLES
from cb.tuning.stopping import resumable
from cb.tuning.tuner import SweepTuner
from cb.tuning.tuner import build_oracle
from cb.tuning.worker import Worker

# Budget where neither the user nor the space sets one.
TRIALS = 20
RESULTS = "results.csv"


def sweep(settings: SweepSettings, plan: SweepPlan) -> pathlib.Path | None:
    """Run or resume a sweep and write its report.

    With the environment variables of keras-tuner's distributed search, this
    process is its chief or one of its workers.

    Args:
        settings: `SweepSettings`.
        plan: `SweepPlan`, made of them.

    Returns:
        Path of the report; `None` if there is nothing to report, or if the
        chief writes it.

    Raises:
        InputError: If a setting is wrong; nothing is run.
        RunError: If another process runs the sweep, or this one is told to
            stop.
    """
    worker = _worker()
    folder = pathlib.Path(settings.directory)
    experiment = EXPERIMENTS[settings.experiment]
    spec = settings.oracle or experiment.oracle or "grid"
    budget = settings.max_trials or plan.space.budget or TRIALS
    trials = len(plan.points) or budget
    with resumable():
        config, _ = plan.config({})
        oracle = build_oracle(spec, plan, trials, config.seed, config.epochs)
        if isinstance(oracle, HyperbandOracle):
            trials = trials_of(oracle)
        report.check_reference(settings.reference, plan.objectives)
        identity = _identity(plan, spec, trials)
        rows: list[Row] = []
        if (folder / SWEEP).exists():
            # Another one is refused at once: the checks read all data.
            claim(folder, identity)
            rows = Results(folder / RESULTS).read()
        announce(plan, spec, rows, trials, settings.storage)
        checks.check(plan)
        claim(folder, identity)
        with locked(folder, worker):
            _search(oracle, plan, settings, spec, trials)
        if worker:
            # The chief of this worker writes the report.
            return None
        to = str(folder / "report")
        return compare([settings.directory], to, settings.reference)


def trials_of(oracle: HyperbandOracle) -> int:
    """Return the number of trials of all brackets, which Hyperband decides."""
    return oracle.hyperband_iterations * sum(
        oracle._get_size(bracket, step)
        for bracket in range(oracle._get_num_brackets())
        for step in range(oracle._get_num_rounds(bracket))
    )


def _worker() -> str:
    """Return the name of this worker of a chief, or nothing."""
    given = {name: os.environ.get(name) for name in VARIABLES}
    address, port, name = given.values()
    if address is None and port is None:
        return ""
    if None in given.values():
        raise InputError(
            f"The variables {list(VARIABLES)} must be set together. "
            f"Received: {given}"
        )
    return "" if "chief" in str(name) else str(name)


def _search(
    oracle: keras_tuner.Oracle,
    plan: SweepPlan,
    settings: SweepSettings,
    spec: str,
    trials: int,
) -> None:
    folder = pathlib.Path(settings.directory)
    # `seconds` can be an objective as well.
    columns = [*plan.columns.values(), *plan.space.names, *IDENTITY, *ABOUT]
    columns += RUNGS if plan.halving else ()
    results = Results(
        folder / RESULTS, [*dict.fromkeys(columns)], plan.space.texts
    )
    progress = Progress(plan, results, trials, folder, settings.storage)
    if progress.done > trials:
        print(
            f"{progress.done} trials are there already, more than the {trials} "
            "asked for.",
            flush=True,
        )
    worker = Worker(settings.limits)
    runner = Runner(plan, worker, results, folder / "runs")
    try:
        SweepTuner(oracle, runner, progress.note, folder).search()
        progress.end()
        if plan.halving:
            progress.print_epochs()
    except grpc.RpcError as error:
        raise RunError(
            "The chief of this worker has ended or cannot be reached. Results "
            "are kept; start both again to resume. "
            f"({one_line(error)})"
        ) from error
    finally:
        worker.stop()


def compare(
    folders: Sequence[str], directory: str, reference: Sequence[float] = ()
) -> pathlib.Path | None:
    """Write a report of sweeps, side by side, and print where it is.

    Args:
        folders: Sequence of the folders of sweeps.
        directory: String, the folder of the report.
        reference: Sequence of floats, as in `SweepSettings`.

    Returns:
        Path of the report; `None` if there is nothing to report.

    Raises:
        InputError: If a folder holds no sweep, or they cannot be compared.
    """
    paths = [pathlib.Path(folder) for folder in folders]
    page = report.write(paths, pathlib.Path(directory), reference)
    print(f"Report: {page}" if page else "No trial is complete.", flush=True)
    return page


def _identity(plan: SweepPlan, oracle: str, trials: int) -> dict[str, Any]:
    identity = {
        "experiment": plan.experiment,
        "oracle": oracle,
        "space": [dataclasses.asdict(one) for one in plan.space.parameters],
        "objectives": [dataclasses.asdict(one) for one in plan.objectives],
        "constraints": dict(plan.bounds),
        "folds": list(plan.folds),
        "seeds": list(plan.seeds),
        "points": list(plan.points),
        "columns": plan.columns,
        **plan.config({})[0].identity(),
    }
    if plan.halving:
        identity["racing"] = dataclasses.asdict(plan.halving)
    if parse_spec(oracle).name == "latin_hypercube":
        # Its design has as many points as the budget.
        identity["max_trials"] = trials
    return json.loads(json.dumps(identity))
