"""The study beside a sweep has its trials, once each."""

import contextlib
import json
import sqlite3

import optuna
import pytest

from cb.errors import InputError
from cb.tuning.reading import read_sweep
from cb.tuning.results import ABOUT as ABOUT_RUNS
from cb.tuning.results import IDENTITY
from cb.tuning.results import MEASURED
from cb.tuning.results import RUNGS
from cb.tuning.results import Results
from cb.tuning.storage import keep
from tests.tuning.reading_test import ABOUT

TRIAL = {**dict.fromkeys(MEASURED, 0.5), "seed": 0, "status": "complete"}


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a sweep of two trials."""
    folder = tmp_path / "sweep"
    columns = [*MEASURED, "blocks", *IDENTITY, *ABOUT_RUNS]
    Results(folder / "results.csv", columns).append(
        {**TRIAL, "trial": str(n), "config_id": f"0-{n}", "blocks": str(n + 1)}
        for n in range(2)
    )
    (folder / "sweep.json").write_text(json.dumps(ABOUT))
    return folder


def stored(file, query):
    with contextlib.closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


@pytest.fixture
def kept(folder, tmp_path):
    """Return a function that keeps the trials of a sweep of two trials."""
    objectives = read_sweep(folder).objectives
    database = f"sqlite:///{tmp_path}/db"
    return lambda searching=True: keep(database, folder, objectives, searching)


def test_trials_that_rest_are_kept_with_what_comes_of_them(
    folder, kept, tmp_path
):
    file = folder / "results.csv"
    file.unlink()
    columns = [*MEASURED, "blocks", *IDENTITY, *ABOUT_RUNS, *RUNGS]
    results = Results(file, columns)
    resting = {**TRIAL, "status": "resting", "blocks": "2", "rung": 0}
    for trial in "01":
        name = {"trial": trial, "config_id": f"0-{trial}"}
        results.append([{**resting, **name}])
    database = tmp_path / "db"
    query = "SELECT state FROM trials ORDER BY number"
    kept()
    assert not stored(database, query)
    done = {"trial": "0", "config_id": "0-0", "rung": 1, "status": "complete"}
    results.append([{**resting, **done}])
    kept()
    assert stored(database, query) == [("COMPLETE",)]
    kept(searching=False)
    assert stored(database, query) == [("COMPLETE",), ("PRUNED",)]


def test_trials_are_kept_once(folder, kept, tmp_path):
    for _ in range(2):
        kept()
    Results(folder / "results.csv").append(
        [
            {"blocks": "2", "trial": "2", "config_id": "0-2", "seed": 0}
            | {"status": "failed", "note": "The loss is not finite."}
        ]
    )
    kept()
    database = tmp_path / "db"
    states = stored(database, "SELECT state FROM trials ORDER BY number")
    assert states == [("COMPLETE",), ("COMPLETE",), ("FAIL",)]
    assert stored(database, "SELECT value FROM trial_values") == [(0.5,)] * 2
    notes = stored(
        database,
        "SELECT value_json FROM trial_user_attributes WHERE key = 'note'",
    )
    assert notes == [('"The loss is not finite."',)]
    study = optuna.load_study(
        study_name="sweep", storage=f"sqlite:///{database}"
    )
    assert [trial.params["blocks"] for trial in study.trials] == ["1", "2", "2"]


def test_the_study_of_another_sweep_is_refused(folder, kept):
    kept()
    (folder / "sweep.json").write_text(json.dumps({**ABOUT, "seeds": [1]}))
    with pytest.raises(
        InputError, match="without the study 'sweep' of another"
    ):
        kept()


@pytest.mark.parametrize(
    "storage", ["db", "sqlite:///nowhere/db", "nothing://db"]
)
def test_what_is_no_database_is_refused(folder, storage):
    with pytest.raises(
        InputError, match="`storage` must be a database"
    ) as found:
        keep(storage, folder, read_sweep(folder).objectives, True)
    assert "\n" not in str(found.value)
