"""What experiments take from earlier sweeps."""

import pytest

from cb.errors import InputError
from cb.tuning import experiments
from cb.tuning.results import ABOUT
from cb.tuning.results import IDENTITY
from cb.tuning.results import MEASURED
from cb.tuning.results import Results
from cb.tuning.space import Parameter
from cb.tuning.space import Space

WIDTH = Parameter(name="width", kind="int", low=1, high=9, default=1)
SPACE = Space("widths", {}, (WIDTH,))


def write(folder, parameter, values, **others):
    """Write the results of a sweep of one parameter, a trial a value."""
    columns = [*MEASURED, parameter, *IDENTITY, *ABOUT]
    Results(folder / "results.csv", columns).append(
        {
            **dict.fromkeys(MEASURED, 0.5),
            parameter: value,
            "config_id": f"0-{trial}",
            "trial": str(trial),
            "seed": 0,
            "dataset": "digits",
            "status": "complete",
            **others,
        }
        for trial, value in enumerate(values)
    )
    return str(folder)


def test_sweeps_are_merged_by_configuration(tmp_path):
    folders = [
        write(tmp_path / "a", "width", [1, 2], seed=1),
        write(tmp_path / "b", "width", [2, 3], seed=2),
    ]
    found = experiments.merged(SPACE, folders)
    assert [point.values["width"] for point in found] == [1, 2, 3]
    assert [len(point.runs) for point in found] == [1, 2, 1]


def test_sweeps_of_different_data_are_not_merged(tmp_path):
    folders = [
        write(tmp_path / "a", "width", [1, 2]),
        write(tmp_path / "b", "width", [2, 3], dataset="higgs"),
    ]
    with pytest.raises(InputError, match="one data set.*'digits', 'higgs'"):
        experiments.merged(SPACE, folders)


def test_tables_of_other_columns_are_not_merged(tmp_path):
    (tmp_path / "results.csv").write_text(
        "Error,Inference,Training,width\n1,1,1,1\n"
    )
    with pytest.raises(InputError, match="without .*'config_id'"):
        experiments.merged(SPACE, [str(tmp_path)])


def test_choices_that_look_like_numbers_stay_text(tmp_path):
    effects = {"1": {"epochs": 1}, "2": {"epochs": 2}}
    blocks = Parameter(
        name="blocks", kind="choice", values=(*effects,), effects=effects
    )
    space = Space("blocks", {}, (blocks,))
    folder = write(tmp_path / "a", "blocks", effects)
    found = experiments.merged(space, [folder])
    settings = [space.settings(point.values) for point in found]
    assert settings == [{"epochs": 1}, {"epochs": 2}]
