"""Collisions of particles, simulated."""

from cb.datasets import REGISTRY
from cb.datasets import preparation
from cb.datasets.dataset_splits import DatasetSplits

TEST_EXAMPLES = 500_000


@REGISTRY.register("higgs")
def higgs(data_dir: str | None = None) -> DatasetSplits:
    """Load 11,000,000 collisions of 28 features, two classes.

    The last 500,000 in the fixed order of TensorFlow Datasets are the test
    part. A file is read as `csv(path=..., label=...)`.

    Reference:

    - [Baldi et al., 2014](https://arxiv.org/abs/1402.4735)
    """
    from cb.datasets import tfds_loading

    first = f"train[:-{TEST_EXAMPLES}]"
    last = f"train[-{TEST_EXAMPLES}:]"
    return tfds_loading.load(
        "higgs",
        data_dir,
        first,
        last,
        class_names=("background", "signal"),
        num_classes=2,
        preparations=preparation.FEATURES,
    )
