"""Rising and falling prices of electricity in New South Wales."""

from collections.abc import Sequence

from cb.datasets import REGISTRY
from cb.datasets import preparation
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.splits import Order
from cb.datasets.splits import train_test
from cb.registry import unknown

# `day` is left out: its number is a name. Some copies lack `date` too.
COLUMNS = (
    "date",
    "period",
    "nswprice",
    "nswdemand",
    "vicprice",
    "vicdemand",
    "transfer",
)
TEST_FRACTION = 0.3


@REGISTRY.register("electricity")
def electricity(
    path: str | None = None,
    columns: tuple[str, ...] | None = None,
    order: Order = "random",
    data_dir: str | None = None,
) -> DatasetSplits:
    """Load 45,312 half hours of 1996 to 1998, two classes.

    Args:
        path: String, a CSV file of them in the order of time; by default
            they are downloaded from OpenML.
        columns: Names of the columns of features. By default date, period,
            nswprice, nswdemand, vicprice, vicdemand and transfer, as far as
            the file has them.
        order: `"random"` tests on 30 % of every class, or `"time"` on the
            last 30 %; either way always the same rows. Neighbours in time
            are alike, so random rows are easier.
        data_dir: String, folder of prepared data.

    Reference:

    - [Harries, 1999](https://www.openml.org/d/151)
    """
    from cb.datasets import csv_reading
    from cb.datasets import tables
    from cb.datasets.electricity_builder import CLASSES  # It imports TFDS.
    from cb.datasets.electricity_builder import LABEL

    ordered = order == "time"
    if path is None:
        table = _downloaded(data_dir, columns or COLUMNS)
    else:
        known = csv_reading.column_names(path)
        columns = columns or tuple(c for c in COLUMNS if c in known)
        print(f"Reading {', '.join(columns)} from {path}", flush=True)
        table = csv_reading.read_csv(path, LABEL, columns)
    whole, _ = tables.examples(table)
    return DatasetSplits(
        "electricity",
        *train_test(whole, TEST_FRACTION, "electricity", ordered),
        num_classes=len(CLASSES),
        class_names=CLASSES,
        preparations=preparation.FEATURES,
        ordered=ordered,
        label=LABEL,
        feature_names=tuple(table.names),
    )


def _downloaded(data_dir: str | None, columns: Sequence[str]):
    from cb.datasets import tables
    from cb.datasets import tfds_loading
    from cb.datasets.electricity_builder import LABEL
    from cb.datasets.electricity_builder import Electricity

    builder = tfds_loading.prepared(Electricity, data_dir)
    print(f"Reading electricity from {builder.data_path}", flush=True)
    whole = builder.as_dataset(
        split="train", batch_size=-1, shuffle_files=False
    )
    values = {name: column.numpy() for name, column in whole.items()}
    for name in columns:
        if name not in values:
            raise unknown("column of electricity", name, values)
    return tables.of_arrays(
        f"data set {str(builder.data_path)!r}",
        LABEL,
        values.pop(LABEL),
        {name: values[name] for name in columns},
    )
