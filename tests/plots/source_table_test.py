"""The columns of the published code, from `metrics.csv`."""

import csv
import io

import numpy as np
import pytest

from cb.errors import InputError
from cb.plots.__main__ import main
from tests.plots.conftest import INTERCEPT
from tests.plots.conftest import SLOPE
from tests.plots.conftest import UPDATES

HEADER = (
    "epoch,train_loss,val_loss,train_error1,val_error1,train_error5,"
    "val_error5,step_dist_n0"
)


def table(capsys, path):
    main(["--table", path])
    text = capsys.readouterr().out
    assert text.splitlines()[0] == HEADER
    return list(csv.DictReader(io.StringIO(text)))


def test_columns_are_those_of_the_published_code(make_run, capsys):
    rows = table(capsys, make_run("a"))
    assert [row["epoch"] for row in rows] == [str(n) for n in range(1, 9)]
    second = {key: float(value) for key, value in rows[1].items()}
    # The distance of the first layer is a line in the logarithm.
    distance = (INTERCEPT + SLOPE * np.log(2 * UPDATES)) / 2
    assert second == pytest.approx(
        {
            "epoch": 2,
            "train_loss": 0.5,
            "val_loss": 0.75,
            "train_error1": 25.0,
            "val_error1": 30.0,
            "train_error5": 5.0,
            "val_error5": 10.0,
            "step_dist_n0": distance,
        }
    )


def test_held_out_scores_are_those_of_the_test_examples(make_run, capsys):
    rows = [
        (3, 1, "loss", 0.5),
        (3, 1, "validation/loss", 0.25),
        (3, 1, "test/loss", 0.75),
        (3, 1, "test/accuracy", 0.875),
        (3, 1, "test/top_5_accuracy", 1.0),
    ]
    (row,) = table(capsys, make_run("a", rows))
    assert row["val_loss"] == "0.75"
    assert (row["val_error1"], row["val_error5"]) == ("12.5", "0.0")


def test_what_was_not_measured_is_empty(make_run, capsys):
    (row,) = table(capsys, make_run("a", [(3, 1, "loss", 0.5)]))
    assert row.pop("epoch") == "1" and row.pop("train_loss") == "0.5"
    assert set(row.values()) == {""}


def test_a_table_is_of_one_run(make_run):
    with pytest.raises(InputError, match="`--table` needs one run"):
        main(["--table", make_run("a"), make_run("b")])
    with pytest.raises(InputError, match="`--table` needs one run"):
        main(["--table", make_run("c", [(3, 1, "density", 0.5)])])
