"""Any other data set of TensorFlow Datasets."""

from typing import Literal

from cb.datasets import REGISTRY
from cb.datasets.dataset_splits import DatasetSplits


@REGISTRY.register("tfds")
def tfds(
    name: str,
    train: str = "train",
    test: str | None = None,
    label: str | None = None,
    missing: Literal["refuse", "drop"] = "refuse",
    data_dir: str | None = None,
) -> DatasetSplits:
    """Load images or features with labels, by their name there.

    Args:
        name: String, such as `"kmnist"` or `"cifar10_corrupted/fog_1"`.
        train: String, the split to train on.
        test: String, the split to test on; `test` or `validation` if there is
            one, else a fifth of every class.
        label: String, the feature that is the label; by default that of the
            supervised keys, or the first that is a class.
        missing: `"refuse"` examples without a label or with a number that is
            NaN, or `"drop"` them.
        data_dir: String, folder of prepared data.
    """
    from cb.datasets import tfds_loading

    return tfds_loading.load(name, data_dir, train, test, label, missing)
