import json

import pytest

from cb.errors import InputError
from cb.errors import Locked
from cb.tuning.directory import claim
from cb.tuning.directory import differences
from cb.tuning.directory import locked

RATE = {"name": "rate", "low": 0.1, "high": 1.0}
WIDTH = {"name": "width", "low": 1, "high": 8}


@pytest.mark.parametrize(
    "now, before, expected",
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a: 1 is not 2"]),
        ({"a": 1}, {}, ["a: 1 is not None"]),
        (
            {"space": [{**RATE, "high": 2.0}, WIDTH]},
            {"space": [RATE, WIDTH]},
            ["space.rate.high: 2.0 is not 1.0"],
        ),
        (
            {"space": [RATE, WIDTH]},
            {"space": [RATE]},
            [f"space.width: {WIDTH} is not None"],
        ),
        (
            {"space": [WIDTH, RATE]},
            {"space": [RATE, WIDTH]},
            ["space: ['width', 'rate'] is not ['rate', 'width']"],
        ),
        ({"folds": ["1/2"]}, {"folds": []}, ["folds: ['1/2'] is not []"]),
    ],
)
def test_differences_are_named_as_far_inside_as_they_are(now, before, expected):
    assert [*differences(now, before)] == expected


def test_a_folder_belongs_to_its_first_sweep(tmp_path):
    folder = tmp_path / "a b [c]"
    claim(folder, {"oracle": "grid"})
    claim(folder, {"oracle": "grid"})
    with pytest.raises(InputError, match="oracle: 'random' is not 'grid'"):
        claim(folder, {"oracle": "random"})
    assert json.loads((folder / "sweep.json").read_text()) == {"oracle": "grid"}


def test_one_process_searches_and_each_worker_is_one(tmp_path):
    with locked(tmp_path), locked(tmp_path, "worker_0"):
        for worker in ("", "worker_0"):
            with pytest.raises(Locked, match="Another process is running"):
                with locked(tmp_path, worker):
                    pass
        with locked(tmp_path, "worker_1"):
            pass
    with locked(tmp_path):
        pass
