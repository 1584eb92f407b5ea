"""A run opened for evaluation checks its arguments before it builds."""

import pytest

from cb.errors import InputError
from cb.evaluation.opened_run import OpenedRun
from tests.made_runs import make_run


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"checkpoint": "9"}, "'9' does not exist"),
        ({"strategy": "multi_worker"}, "strategy='multi_worker'"),
        ({"attempt": 0}, "attempt=0"),
        ({"run_dir": "nowhere"}, "run_dir='nowhere'"),
    ],
)
def test_wrong_arguments_are_refused_without_data_or_model(
    tmp_path, monkeypatch, arguments, message
):
    path = str(make_run(tmp_path / "run", 1).path)
    monkeypatch.setattr("cb.evaluation.opened_run.build_data", None)
    with pytest.raises(InputError, match=message):
        OpenedRun(**{"run_dir": path, **arguments})
    with pytest.raises(InputError, match="`--lesion`.*checkpoint='all'"):
        OpenedRun(path, "all").require_single("lesion")


def test_several_checkpoints_are_named_oldest_first(tmp_path):
    path = str(make_run(tmp_path / "run", 7).path)
    # The last checkpoint is that of epoch 7.
    assert OpenedRun(path, "all").checkpoints() == ["initial", *"1234567"]
    assert OpenedRun(path, "last5").checkpoints() == [*"34567"]
    assert OpenedRun(path, "best").checkpoints() == ["best"]
