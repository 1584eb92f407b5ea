import numpy as np
import pytest

from cb.tuning.results import Results
from experiments.sweeps import comparison

COLUMNS = (
    "trial",
    "seed",
    "status",
    "Error",
    "epochs",
    "rung",
    "epochs_trained",
)
# Two rungs of the first trial, with another trial between them.
ROWS = (
    ("0", 0, "resting", 0.5, 9, 0, 3),
    ("1", 0, "complete", 0.4, 2, 1, 2),
    ("0", 0, "complete", 0.3, 9, 1, 9),
)


@pytest.mark.parametrize(
    ("halved", "expected"),
    [(True, [3, 2, 6]), (False, [9, 2, 9])],
    ids=["halved", "whole"],
)
def test_epochs_are_counted_once(tmp_path, halved, expected):
    results = Results(tmp_path / "results.csv", COLUMNS)
    results.append(dict(zip(COLUMNS, row, strict=True)) for row in ROWS)
    found = [*comparison.spent(results, halved)]
    assert [trained for _, trained in found] == expected
    assert [row["Error"] for row, _ in found] == [0.5, 0.4, 0.3]


def test_a_trial_without_a_result_adds_epochs_and_no_hypervolume():
    names = ("epochs", *comparison.OBJECTIVES)
    half = [0.5 * part for part in comparison.REFERENCE]
    rows = [
        dict(zip(names, ["3", "", "", ""], strict=True)),
        dict(zip(names, ["4", *map(str, half)], strict=True)),
    ]
    epochs, volume = comparison.curve(rows)
    np.testing.assert_array_equal(epochs, [3, 7])
    np.testing.assert_allclose(volume, [0.0, 1 / 8])
