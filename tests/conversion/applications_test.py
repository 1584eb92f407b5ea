"""Sparse forms of the networks of `keras.applications`, as they come."""

import csv

import pytest

from benchmarks.applications_round_trip import FILE
from benchmarks.applications_round_trip import SIZES
from benchmarks.applications_round_trip import measure

# Convolutions in groups and a layer of Keras's own scales; depthwise ones with
# gates; a classifier of large matrices; separable ones.
SAMPLE = ("ConvNeXtTiny", "MobileNetV3Small", "VGG16", "Xception")


def rows():
    with open(FILE, newline="") as file:
        return {row.pop("network"): row for row in csv.DictReader(file)}


def check(row):
    """Hold a line of the table to its limits; numbers may be text."""
    assert int(row["active"]) == round(int(row["weights"]) / 2)
    assert float(row["dense_difference"]) <= 1e-6
    # Not infinite or none either, so there are outputs.
    assert 1e-2 < float(row["unmasked_difference"]) < float("inf")
    assert int(row["inactive_moved"]) == 0
    assert float(row["loaded_difference"]) <= 1e-6
    assert int(row["masked_left"]) == 0


@pytest.mark.parametrize("name", SAMPLE)
def test_goes_sparse_trains_saves_and_goes_back(name):
    row = measure(name)
    check(row)
    written = rows()[name]
    for key in ("image", "kernels", "weights", "active"):
        assert str(row[key]) == written[key]


def test_all_of_the_table_do():
    table = rows()
    assert set(table) == set(SIZES)
    for row in table.values():
        check(row)
