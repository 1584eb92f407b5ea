"""A data set of the user's own, in a CSV file."""

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
) -> DatasetSplits:
    """Load rows of numbers with a class.

    Args:
        path: String, a file with a header, compressed or not.
        label: String, name of the column of classes.
        columns: Names of the columns of features; all others by default.
        test: String, a file of the same form, for testing.
        test_fraction: Float in (0, 1), part of every class for testing where
            there is no such file; always the same rows.
        order: `"random"`, or `"time"`: the rows are in the order of time, and
            the last ones are for testing and for validation.
    """
    from cb.datasets import tables

    ordered = order == "time"
    found, names = tables.examples(tables.read_csv(path), label, columns)
    if test is None:
        parts = train_test(found, test_fraction, "csv", ordered)
    else:
        held, known = tables.examples(tables.read_csv(test), label, columns)
        if known != names or held.features.shape[1] != found.features.shape[1]:
            raise InputError(
                f"File {test!r} must have the classes and the columns of "
                f"{path!r}, classes {list(names)}. Received: {list(known)}"
            )
        parts = (found, held)
    return DatasetSplits(
        "csv",
        *parts,
        num_classes=len(names),
        class_names=names,
        preparations=preparation.FEATURES,
        ordered=ordered,
    )
