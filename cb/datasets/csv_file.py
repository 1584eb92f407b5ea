"""A data set of the user's own, in CSV files."""

from typing import Literal

from cb.datasets import REGISTRY
from cb.datasets import preparation
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.splits import Order
from cb.datasets.splits import train_test
from cb.errors import InputError
from cb.registry import OpenFraction


@REGISTRY.register("csv")
def csv(
    path: str,
    label: str,
    columns: tuple[str, ...] | None = None,
    test: str | None = None,
    test_fraction: OpenFraction = 0.2,
    order: Order = "random",
    sep: str = ",",
    encoding: str = "utf-8",
    decimal: str = ".",
    header: Literal["infer", 0, None] = "infer",
    skipinitialspace: bool = False,
    keep_default_na: bool = True,
    missing: Literal["refuse", "drop"] = "refuse",
    separator: str | None = None,
) -> DatasetSplits:
    """Load rows of numbers with a class.

    Args:
        path: String, a file with a header, compressed or not; or a pattern
            such as `"part_*.csv"` of several, read in the order of their
            names.
        label: String, name of the column of classes.
        columns: Names of the columns of features; all others by default.
        test: String, files for testing, with the columns of the others in
            any order.
        test_fraction: Float in (0, 1), part of every class for testing where
            there is no such file; always the same rows.
        order: `"random"`, or `"time"`: the rows are in the order of time, and
            the last ones are for testing and for validation.
        sep: String, the character between cells. This and the next five are
            those of pandas.
        encoding: String, such as `"latin-1"`.
        decimal: String, the decimal point.
        header: `"infer"`; `None` for files without a header, whose columns
            are named `"0"`, `"1"` and so on; `0` for a header that looks like
            data.
        skipinitialspace: Boolean, whether to drop spaces after separators.
        keep_default_na: Boolean, whether `NA`, `None` and the like are empty
            cells.
        missing: `"refuse"` rows with an empty cell, or `"drop"` them.
        separator: String, another name of `sep`.
    """
    from cb.datasets import csv_cells
    from cb.datasets import csv_reading
    from cb.datasets import tables

    if separator is not None and sep not in (",", separator):
        raise InputError(
            "Arguments `sep` and `separator` are one, and must not differ. "
            f"Received: sep={sep!r}, separator={separator!r}"
        )
    style = csv_cells.CsvFormat(
        sep if separator is None else separator,
        encoding,
        decimal,
        header,
        skipinitialspace,
        keep_default_na,
    )
    ordered = order == "time"
    table = csv_reading.read_csv(path, label, columns, style)
    found, classes = tables.examples(table, missing=missing)
    if test is None:
        parts = train_test(found, test_fraction, "csv", ordered)
    else:
        held = csv_reading.read_csv(test, label, columns, style, table.names)
        dtype = found.features.dtype
        parts = (found, tables.examples(held, classes, missing, dtype)[0])
    return DatasetSplits(
        "csv",
        *parts,
        num_classes=len(classes.values),
        class_names=classes.names,
        preparations=preparation.FEATURES,
        ordered=ordered,
        label=label,
        feature_names=tuple(table.names),
    )
