"""What is evaluated, and on what."""

from absl import flags

flags.DEFINE_string("run_dir", None, "Folder of a run.")
flags.DEFINE_string(
    "saved_model", None, "Folder of a SavedModel; needs --dataset."
)
flags.DEFINE_string(
    "checkpoint", "last", "last, best, initial or the number of an epoch."
)
flags.DEFINE_string("dataset", None, "Data set for --saved_model.")
flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")
flags.DEFINE_string(
    "strategy", "auto", "Devices, as in training: auto, none, mirrored(...)."
)
flags.DEFINE_integer(
    "batch_size", 100, "Examples in a batch, for --saved_model."
)
