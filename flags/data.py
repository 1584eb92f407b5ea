"""Which data, and how they are cut and varied."""

from absl import flags

from cb.config import Config
from cb.registry import registered_names

flags.DEFINE_string(
    "dataset",
    Config.dataset,
    f"Data set, one of {sorted(registered_names('cb.datasets'))}, or the name "
    "of one of TensorFlow Datasets.",
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
flags.DEFINE_integer(
    "validation_examples",
    Config.validation_examples,
    "How many training examples are held out instead, of every class as many "
    "as its share.",
)
flags.DEFINE_string(
    "fold",
    Config.fold,
    "Fold held out instead, such as 2/5 for the second of five; the folds are "
    "the same for every seed.",
)
flags.DEFINE_integer(
    "limit_examples",
    Config.limit_examples,
    "Use at most so many examples of the training and of the test part.",
)
flags.DEFINE_string(
    "augmentation",
    Config.augmentation,
    "Augmentations joined by |, such as 'pad_crop(padding=4)|flip', of "
    f"{sorted([*registered_names('cb.datasets.augmentation'), 'mixup'])}; or "
    "auto (the model's recipe if it fits the data, else the data set's), "
    "model, \"published('SOURCE')\", \"corrected('SOURCE')\" or none.",
)
flags.DEFINE_integer(
    "data_workers",
    Config.data_workers,
    "Threads that prepare batches; by default as many as are of use.",
)
flags.DEFINE_bool(
    "show_input",
    Config.show_input,
    "Write input.png, training examples as they are evaluated and as epochs "
    "see them with their labels, into the run's folder and to TensorBoard.",
)
