"""Handwritten digits of 8x8 pixels, embedded in scikit-learn."""

import numpy as np

from cb.datasets import REGISTRY
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.seeds import generator

TEST_EXAMPLES = 360
BRIGHTEST = 16.0


@REGISTRY.register("digits")
def digits() -> DatasetSplits:
    """Load 1,797 digits; 360 of them, always the same, are the test part.

    Reference:

    - [Alpaydin and Kaynak, 1998](https://doi.org/10.24432/C50P49)
    """
    from sklearn import datasets  # It takes a second to import.

    bunch = datasets.load_digits()
    images = (bunch.images[..., None] / BRIGHTEST).astype(np.float32)
    order = generator("digits", "test").permutation(len(images))
    examples = Examples(images, bunch.target.astype(np.int32))
    return DatasetSplits(
        name="digits",
        train=examples.take(np.sort(order[TEST_EXAMPLES:])),
        test=examples.take(np.sort(order[:TEST_EXAMPLES])),
        num_classes=10,
    )
