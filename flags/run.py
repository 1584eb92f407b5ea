"""Where a run lives, what it keeps and what it prints."""

from absl import flags

from cb.config import Config

flags.DEFINE_string(
    "run_dir",
    Config.run_dir,
    "Folder of the run. Default: runs/<name or model>_<hash>, so the same "
    "command finds its run again.",
)
flags.DEFINE_string("name", Config.name, "Name of the run's folder.")
flags.DEFINE_integer(
    "job_idx", Config.job_idx, "Number in the name of the run's folder."
)
flags.DEFINE_string(
    "config",
    None,
    "YAML or JSON file of flags, or the config.json of a run; explicit flags "
    "win.",
)
flags.DEFINE_multi_string(
    "set",
    None,
    "Sets one value, of a spec too: --set=reallocation.every=50. Repeatable.",
)
flags.DEFINE_string(
    "schedule_file",
    None,
    "YAML file of dynamic sparse reparameterization: learning rate, period "
    "and temperature by first epoch. What flags say explicitly wins.",
)
flags.DEFINE_string(
    "initialize_from",
    Config.initialize_from,
    "RUN[:initial|best|last|N]: start from the weights and masks of a run.",
)
flags.DEFINE_integer(
    "initial_epoch", Config.initial_epoch, "Epoch to start with."
)
flags.DEFINE_integer(
    "checkpoint_every",
    Config.checkpoint_every,
    "Keep a numbered checkpoint every so many epochs; 0 for none.",
)
flags.DEFINE_string(
    "save_every",
    Config.save_every,
    "How often the last checkpoint is written: '1ep', or steps.",
)
flags.DEFINE_integer(
    "print_every",
    Config.print_every,
    "Steps between lines of progress where there is no terminal.",
)
flags.DEFINE_bool(
    "evaluate_train",
    Config.evaluate_train,
    "Score the training examples, without augmentation, after every epoch.",
)
flags.DEFINE_integer(
    "weight_distance",
    Config.weight_distance,
    "How often the distance of the weights from the initial ones is measured "
    "while the step grows tenfold, such as 20; 0 for never.",
)
