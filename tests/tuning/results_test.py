import threading

import numpy as np
import pytest

from cb.errors import InputError
from cb.tuning.results import Results
from cb.tuning.results import aggregate

COLUMNS = ["Error", "width", "config_id", "seed", "fold", "trial", "dataset"]
COLUMNS += ["experiment", "status"]


def row(trial, error=0.5, width=3, seed=0, fold="1/5", status="complete"):
    return {
        "Error": error,
        "width": width,
        "config_id": f"0-{trial}",
        "seed": seed,
        "fold": fold,
        "trial": str(trial),
        "dataset": "digits",
        "experiment": "search",
        "status": status,
    }


def test_rows_are_added_once_and_read_back_exactly(tmp_path):
    results = Results(tmp_path / "r.csv", COLUMNS)
    results.append([row(0, error=0.1 + 0.2), row(1)])
    Results(tmp_path / "r.csv", COLUMNS).append([row(1, error=0.9), row(2)])
    found = Results(tmp_path / "r.csv").read()
    assert [one["trial"] for one in found] == ["0", "1", "2"]
    assert [one["Error"] for one in found] == [0.1 + 0.2, 0.5, 0.5]


def test_a_line_cut_short_by_a_kill_is_mended(tmp_path):
    file = tmp_path / "r.csv"
    results = Results(file, COLUMNS)
    results.append([row(0), row(1)])
    file.write_bytes(file.read_bytes()[:-7])
    assert [one["trial"] for one in results.read()] == ["0"]
    results.append([row(1), row(2)])
    assert [one["trial"] for one in results.read()] == ["0", "1", "2"]


def test_several_writers_lose_nothing(tmp_path):
    def write(first):
        results = Results(tmp_path / "r.csv", COLUMNS)
        for trial in range(first, first + 20):
            results.append([row(trial)])

    threads = [
        threading.Thread(target=write, args=(first,)) for first in (0, 20, 40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Results(tmp_path / "r.csv").read()
    assert sorted(int(one["trial"]) for one in found) == list(range(60))


def test_other_columns_are_refused(tmp_path):
    Results(tmp_path / "r.csv", COLUMNS).append([row(0)])
    with pytest.raises(InputError, match="have other columns"):
        Results(tmp_path / "r.csv", ["Error"])


def test_means_are_over_folds_and_seeds():
    rows = [
        row(0, error=error, seed=seed, fold=fold)
        for error, seed, fold in (
            (0.1, 0, "1/5"),
            (0.2, 0, "2/5"),
            (0.3, 1, "1/5"),
            (0.6, 1, "2/5"),
        )
    ]
    (point,) = aggregate(rows, ["Error"], ["width"])
    assert point.values == {"width": 3}
    np.testing.assert_allclose(point.means["Error"], 0.3)
    np.testing.assert_allclose(
        point.spreads["Error"], np.std([0.1, 0.2, 0.3, 0.6])
    )


def test_unequal_folds_are_refused():
    rows = [row(0, width=1), row(0, width=1, fold="2/5"), row(1, width=2)]
    with pytest.raises(InputError, match="0-0 on .*2/5.*0-1 on .*1/5"):
        aggregate(rows, ["Error"], ["width"])


@pytest.mark.parametrize("status", ["failed", "infeasible", "outraced"])
def test_what_is_not_complete_is_not_compared(status):
    rows = [
        row(0, width=1),
        row(0, width=1, fold="2/5"),
        row(1, width=2, status=status),
    ]
    (point,) = aggregate(rows, ["Error"], ["width"])
    assert point.config_id == "0-0"
