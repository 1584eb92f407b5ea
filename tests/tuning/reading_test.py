"""Folders of sweeps are read as they were written, or refused."""

import dataclasses
import json

import pytest

from cb.errors import InputError
from cb.tuning import sweep
from cb.tuning.reading import read_sweep
from cb.tuning.results import MEASURED
from cb.tuning.space import Parameter
from tests.tuning import experiments_test

BLOCKS = Parameter(name="blocks", kind="choice", values=("1", "2"))
ABOUT = {
    "columns": {"val_error": "Error", "x": "Inference", "y": "Training"},
    "experiment": "search",
    "folds": [],
    "objectives": [{"name": "val_error", "direction": "min"}],
    "oracle": "grid",
    "seeds": [0],
    "space": [dataclasses.asdict(BLOCKS)],
}


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a sweep of two trials."""
    experiments_test.write(tmp_path / "sweep", "blocks", BLOCKS.values)
    (tmp_path / "sweep/sweep.json").write_text(json.dumps(ABOUT))
    return tmp_path / "sweep"


def test_points_are_what_was_written(folder):
    found = read_sweep(folder)
    assert [point.values["blocks"] for point in found.points] == ["1", "2"]
    assert found.points[0].means == dict.fromkeys(MEASURED, 0.5)
    assert found.columns == ["Error"]


@pytest.mark.parametrize(
    "name, text",
    [
        ("sweep.json", "{"),
        ("sweep.json", "[1]"),
        ("sweep.json", "\xff"),
        ("sweep.json", '{"columns": 1}'),
        ("sweep.json", json.dumps({**ABOUT, "space": [{"nome": 1}]})),
        ("sweep.json", json.dumps({**ABOUT, "columns": []})),
        ("results.csv", "a,b\n1,2\n"),
        ("results.csv", "\xff\n"),
    ],
)
def test_other_files_are_refused_in_a_line(folder, name, text):
    (folder / name).write_text(text, encoding="latin-1")
    message = f"`{name}` must be as the sweep wrote it"
    with pytest.raises(InputError, match=message) as caught:
        sweep.compare([str(folder)], str(folder / "report"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_no_sweep_goes_on_in_a_folder_with_another_file(
    run_sweep, tmp_path, text
):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/sweep.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="must be as the sweep wrote it"):
        run_sweep(directory="other", max_trials=1)


def test_a_report_needs_a_folder(folder, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below"):
        with pytest.raises(InputError, match="`directory` must be a folder"):
            sweep.compare([str(folder)], str(place))
