"""The trials of a sweep in a database of Optuna, for its dashboard."""

import contextlib
import fcntl
import pathlib
import warnings
from collections.abc import Iterator
from collections.abc import Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import one_line
from cb.tuning.objectives import Objective
from cb.tuning.reading import read_sweep
from cb.tuning.run_request import RESTING
from cb.tuning.study import frozen_trials
from cb.tuning.study import quiet_study

SWEEP, TRIAL, TABLE = "sweep", "trial", "results.csv"
FAILURES = (ImportError, OptunaError, OSError, SQLAlchemyError, ValueError)


def open_study(
    storage: str, folder: pathlib.Path, objectives: Sequence[Objective]
) -> optuna.Study:
    """Open the study of a sweep, named as its folder, or create it.

    Args:
        storage: String, a database such as `"sqlite:///FILE"`.
        folder: Path of the sweep, with its `sweep.json`.
        objectives: Sequence of `Objective`.

    Returns:
        Study.

    Raises:
        InputError: If the database cannot be written, or has a study of
            another sweep by this name.
    """
    name = folder.resolve().name
    identity = (folder / "sweep.json").read_text("utf-8")
    with _writing(storage):
        study = quiet_study(
            storage=storage,
            study_name=name,
            directions=[f"{one.direction}imize" for one in objectives],
            load_if_exists=True,
        )
        known = study.user_attrs.get(SWEEP, identity)
        if SWEEP not in study.user_attrs:
            study.set_user_attr(SWEEP, identity)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names([one.name for one in objectives])
    if known != identity:
        raise argument_error(
            "storage",
            f"a database without the study {name!r} of another sweep",
            storage,
        )
    return study


def keep(
    storage: str,
    folder: pathlib.Path,
    objectives: Sequence[Objective],
    searching: bool,
) -> None:
    """Add the trials of a sweep that its study does not have yet.

    Args:
        storage: As in `open_study`.
        folder: As in `open_study`.
        objectives: As in `open_study`.
        searching: Boolean, whether trials that rest may be taken up again:
            what is in a study cannot be changed.

    Raises:
        InputError: As in `open_study`.
    """
    study, table = open_study(storage, folder, objectives), folder / TABLE
    if not table.is_file():
        return
    trials = frozen_trials(read_sweep(folder))
    with open(table, "rb") as opened, _writing(storage):
        # Against other processes of the sweep.
        fcntl.flock(opened, fcntl.LOCK_EX)
        known = {trial.user_attrs.get(TRIAL) for trial in study.trials}
        for trial in trials:
            rests = trial.user_attrs["status"] == RESTING
            waits = searching and rests
            if trial.user_attrs[TRIAL] not in known and not waits:
                study.add_trial(trial)


@contextlib.contextmanager
def _writing(storage: str) -> Iterator[None]:
    """Turn errors about a database into one line."""
    try:
        yield
    except FAILURES as error:
        raise InputError(
            "Argument `storage` must be a database that can be written, such "
            f"as sqlite:///FILE. Received: storage={storage!r} "
            f"({one_line(error)})"
        ) from error
