"""Conditions under which auto-tune continues."""

import dataclasses
import json

import pytest

from cb.auto_tuning.attempts import Attempt
from cb.auto_tuning.attempts import AutoTuneError
from cb.auto_tuning.attempts import check_restart


def attempt(**kwargs):
    values = {
        "blocks": (3, 2),
        "outcome": "conflict",
        "kept": (0, 1, 3, 4),
        "next_blocks": (2, 2),
        "entropies": {"block_1": 0.5},
        "checks": 1,
        "parameters": 10,
        "flops": 20,
        "steps": 4,
        "seconds": 1.0,
        "step_seconds": None,
        "results": {},
    }
    return Attempt(**(values | kwargs))


def test_an_attempt_survives_json():
    text = json.dumps(dataclasses.asdict(attempt()))
    assert Attempt.from_dict(json.loads(text)) == attempt()


def test_a_conflict_that_can_be_mended_goes_on():
    assert check_restart([attempt()], restarts=1) == (2, 2)


@pytest.mark.parametrize(
    ("attempts", "message"),
    [
        ([attempt(), attempt()], "only 1 restart"),
        ([attempt(next_blocks=(3, 2))], "would change nothing"),
        ([attempt(next_blocks=(0, 0))], "every block of"),
        ([attempt(outcome="diverged", next_blocks=None)], "diverged"),
    ],
)
def test_the_end_is_one_clear_line_with_all_attempts(attempts, message):
    with pytest.raises(AutoTuneError, match=message) as error:
        check_restart(attempts, restarts=1)
    assert "\n" not in str(error.value)
    assert error.value.attempts == attempts
