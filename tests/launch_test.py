"""A launch says what is wrong with its own arguments."""

import pytest

from cb import launch


@pytest.mark.parametrize("number", ["abc", "0", "-1", "1.5"])
def test_a_number_of_workers_is_a_positive_integer(number, capsys):
    with pytest.raises(SystemExit) as stopped:
        launch.main([f"--num_workers={number}", "train.py"])
    assert stopped.value.code == 2
    expected = f"must be an integer of at least 1, not {number!r}"
    assert expected in capsys.readouterr().err
