"""Sweeps: from settings to results, resumed where they stopped."""

import ast
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from cb.errors import InputError
from cb.files import replacing
from cb.files.aliases import plain_name
from cb.files.aliases import require_text
from cb.registry import parse_spec
from cb.registry import unknown
from cb.tuning import checks
from cb.tuning import experiments
from cb.tuning import report
from cb.tuning.experiments import EXPERIMENTS
from cb.tuning.objectives import parse_constraints
from cb.tuning.objectives import parse_objectives
from cb.tuning.plan import FixedConfiguration
from cb.tuning.plan import SweepPlan
from cb.tuning.progress import Progress
from cb.tuning.reading import read_about
from cb.tuning.results import ABOUT
from cb.tuning.results import IDENTITY
from cb.tuning.results import Results
from cb.tuning.runner import Runner
from cb.tuning.space_file import read_space
from cb.tuning.tuner import SweepTuner
from cb.tuning.tuner import build_oracle
from cb.tuning.worker import Limits
from cb.tuning.worker import Worker

# Budget where neither the user nor the space sets one.
TRIALS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """Settings of a sweep, besides the configuration that its runs share.

    Args:
        directory: String, the folder of the sweep.
        experiment: String, one of `cb.tuning.experiments.EXPERIMENTS`.
        space: String, a YAML file or the name of a published space.
        oracle: Spec of an oracle; that of the experiment by default.
        objectives: Sequence of objectives; those of the experiment by
            default.
        constraints: Sequence of `"metric<=number"`.
        max_trials: Integer; the budget of the space by default.
        folds: Sequence of folds such as `"1/5"`; those of the experiment by
            default.
        seeds: Sequence of integers, of the runs; `--seed` by default.
        earlier: Sequence of folders of sweeps to build on.
        limits: `Limits` of each run.
    """

    directory: str
    experiment: str = experiments.SEARCH
    space: str = "digits"
    oracle: str | None = None
    objectives: Sequence[str] = ()
    constraints: Sequence[str] = ()
    max_trials: int | None = None
    folds: Sequence[str] = ()
    seeds: Sequence[int] = ()
    earlier: Sequence[str] = ()
    limits: Limits = Limits()


def sweep(
    settings: SweepSettings, base: FixedConfiguration
) -> pathlib.Path | None:
    """Run or resume a sweep and write its report.

    With the environment variables of keras-tuner's distributed search, this
    process is its chief or one of its workers.

    Args:
        settings: `SweepSettings`.
        base: `FixedConfiguration`.

    Returns:
        Path of the report; `None` if there is nothing to report, or if the
        chief writes it.

    Raises:
        InputError: If a setting is wrong; nothing is run.
    """
    require_text("directory", settings.directory)
    plan = build_plan(settings, base)
    folder = pathlib.Path(settings.directory)
    experiment = EXPERIMENTS[settings.experiment]
    spec = settings.oracle or experiment.oracle or "grid"
    budget = settings.max_trials or plan.space.budget or TRIALS
    trials = len(plan.points) or budget
    config, _ = plan.config({})
    oracle = build_oracle(spec, plan, trials, config.seed, config.epochs)
    checks.check(plan)
    _claim(folder, _identity(plan, spec, trials))
    # `seconds` can be an objective as well.
    columns = [*plan.columns.values(), *plan.space.names, *IDENTITY, *ABOUT]
    results = Results(
        folder / "results.csv", [*dict.fromkeys(columns)], plan.space.texts
    )
    progress = Progress(plan, results, trials, folder)
    worker = Worker(settings.limits)
    runner = Runner(plan, worker, results, folder / "runs")
    try:
        with plain_name(folder) as plain:
            SweepTuner(oracle, runner, progress.note, plain).search()
    finally:
        worker.stop()
    name = os.environ.get("KERASTUNER_TUNER_ID", "chief")
    if "KERASTUNER_ORACLE_IP" in os.environ and "chief" not in name:
        # The chief of this worker writes the report.
        return None
    return compare([settings.directory], str(folder / "report"))


def compare(folders: Sequence[str], directory: str) -> pathlib.Path | None:
    """Write a report of sweeps, side by side, and print where it is.

    Args:
        folders: Sequence of the folders of sweeps.
        directory: String, the folder of the report.

    Returns:
        Path of the report; `None` if there is nothing to report.

    Raises:
        InputError: If a folder holds no sweep, or they cannot be compared.
    """
    paths = [pathlib.Path(folder) for folder in folders]
    page = report.write(paths, pathlib.Path(directory))
    print(f"Report: {page}" if page else "No trial is complete.", flush=True)
    return page


def build_plan(settings: SweepSettings, base: FixedConfiguration) -> SweepPlan:
    """Make the plan of a sweep.

    Args:
        settings: `SweepSettings`.
        base: `FixedConfiguration`.

    Returns:
        `SweepPlan`.

    Raises:
        InputError: If a setting is wrong.
    """
    if settings.experiment not in EXPERIMENTS:
        raise unknown("experiment", settings.experiment, EXPERIMENTS)
    experiment = EXPERIMENTS[settings.experiment]
    if experiment.builds_on != bool(settings.earlier):
        needs = "needs" if experiment.builds_on else "cannot use"
        raise InputError(
            f"Experiment `{settings.experiment}` {needs} earlier sweeps. "
            f"Received: from={list(settings.earlier)}"
        )
    space = read_space(settings.space)
    literals = dict(map(_literal, base.settings))
    given = {*base.given, *literals}
    points: list[dict[str, Any]] = []
    if experiment.oracle is None:
        points = experiments.points(
            settings.experiment, space, settings.earlier
        )
        # The points would overwrite these flags.
        if written := given & space.written:
            raise InputError(
                f"Flag `{min(written)}` cannot be given, for the points of "
                f"experiment `{settings.experiment}` set it. "
                f"Received: space={space.name!r}"
            )
        if settings.max_trials is not None:
            raise InputError(
                "Argument `max_trials` cannot be given, for experiment "
                f"`{settings.experiment}` has {len(points)} points, all of "
                f"them run. Received: max_trials={settings.max_trials}"
            )
        space = dataclasses.replace(
            space, fixed={**space.fixed, "validation_fraction": 0.0}
        )
    else:
        config, _ = base.config(space.fixed, {})
        values = {**literals, **config.as_dict()}
        space = space.fixing({name: values[name] for name in given})
    config, _ = base.config(space.fixed, {})
    return SweepPlan(
        experiment=settings.experiment,
        space=space,
        base=base,
        objectives=parse_objectives(
            settings.objectives or experiment.objectives
        ),
        bounds=parse_constraints(settings.constraints),
        split=experiment.split,
        folds=tuple(settings.folds or experiment.folds),
        seeds=tuple(settings.seeds) or (config.seed,),
        points=tuple(points),
    )


def _literal(setting: str) -> tuple[str, Any]:
    """Return the name and the value of `--set`, text if it is no literal."""
    name, _, text = setting.partition("=")
    with contextlib.suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(text)
    return name, text


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
    if parse_spec(oracle).name == "latin_hypercube":
        # Its design has as many points as the budget.
        identity["max_trials"] = trials
    return json.loads(json.dumps(identity))


def _claim(folder: pathlib.Path, identity: dict[str, Any]) -> None:
    """Record the identity of the sweep in a folder, or compare with it."""
    file = folder / "sweep.json"
    with _alone(folder):
        if not file.exists():
            if any(folder.iterdir()):
                raise InputError(
                    "Argument `directory` must be new, empty or the folder of "
                    f"a sweep. Received: directory={str(folder)!r}, which "
                    "holds other files"
                )
            with replacing(file) as opened:
                opened.write((json.dumps(identity, indent=2) + "\n").encode())
        before = read_about(folder)
    differences = [
        f"{name}: {identity.get(name)!r} is not {before.get(name)!r}"[:200]
        for name in {**before, **identity}
        if identity.get(name) != before.get(name)
    ]
    if differences:
        raise InputError(
            "Argument `directory` holds another sweep. Received: "
            f"directory={str(folder)!r}, where {'; '.join(differences)}"
        )


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
    """Create a folder and lock it against other processes of the sweep."""
    report.make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
