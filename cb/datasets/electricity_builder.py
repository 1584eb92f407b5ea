"""The TFDS builder of the electricity data."""

import numpy as np
import tensorflow_datasets as tfds
from scipy.io import arff

LABEL = "class"
CLASSES = ("DOWN", "UP")
URL = "https://www.openml.org/data/download/2419/electricity-normalized.arff"
# OpenML publishes no lasting checksum; these recognize another file as well.
ROWS, ROWS_UP = 45_312, 19_237
NUMBERS = (
    "date",
    "day",
    "period",
    "nswprice",
    "nswdemand",
    "vicprice",
    "vicdemand",
    "transfer",
)


class Electricity(tfds.core.GeneratorBasedBuilder):
    """Half hours in the order of time, from OpenML."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {name: tfds.features.Scalar(np.float32) for name in NUMBERS}
        features[LABEL] = tfds.features.ClassLabel(names=CLASSES)
        return tfds.core.DatasetInfo(
            builder=self,
            description="Prices of electricity in New South Wales.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=None,
            homepage="https://www.openml.org/d/151",
            # The order is that of time.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(dl_manager.download(URL))}

    def _generate_examples(self, path):
        with open(path, encoding="utf-8") as opened:
            rows, _ = arff.loadarff(opened)
        rising = int(np.count_nonzero(rows[LABEL] == b"UP"))
        if (len(rows), rising) != (ROWS, ROWS_UP):
            raise ValueError(
                f"{URL} must have {ROWS} rows, {ROWS_UP} of them UP. "
                f"Received: {len(rows)}, {rising}"
            )
        for number, row in enumerate(rows):
            example = {name: np.float32(row[name]) for name in NUMBERS}
            yield number, {**example, LABEL: row[LABEL].decode()}
