"""Which data, and how they are cut and varied."""

from absl import flags

from cb.config import Config
from cb.registry import registered_names

flags.DEFINE_string(
    "dataset",
    Config.dataset,
    f"Data set, one of {sorted(registered_names('cb.datasets'))}.",
)
flags.DEFINE_string(
    "data_dir",
    Config.data_dir,
    "Folder of prepared TensorFlow Datasets; theirs by default.",
)
flags.DEFINE_float(
    "validation_fraction",
    Config.validation_fraction,
    "Part of the training examples of every class held out for validation.",
)
flags.DEFINE_string(
    "augmentation",
    Config.augmentation,
    "Augmentations joined by |, such as 'pad_crop(padding=4)|flip', of "
    f"{sorted(registered_names('cb.datasets.augmentation'))}.",
)
