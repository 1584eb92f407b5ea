"""How weights are trained."""

from absl import flags

from cb.config import DTYPES
from cb.config import Config
from cb.registry import registered_names

flags.DEFINE_string(
    "optimizer",
    Config.optimizer,
    "Optimizer, such as 'adam(beta_1=0.9)': those of Keras by their names.",
)
flags.DEFINE_float("learning_rate", Config.learning_rate, "Learning rate.")
flags.DEFINE_string(
    "learning_rate_schedule",
    Config.learning_rate_schedule,
    "How the learning rate changes, such as 'cosine(warmup=\"5ep\")', one of "
    f"{sorted(registered_names('cb.optimization.learning_rates'))}.",
)
flags.DEFINE_string(
    "regime",
    Config.regime,
    "What the optimizer is set to from which epoch on: none, model (how the "
    "model's source trained it, with its epochs, batch size, clipping, label "
    "smoothing and sparsity) or a YAML file such as '{0: {optimizer: sgd, "
    "learning_rate: 0.1, momentum: 0.9, weight_decay: 0.0001}, 10: "
    "{learning_rate: 0.01}}', or such text itself. --optimizer, "
    "--learning_rate and --learning_rate_schedule win over it where given.",
)
flags.DEFINE_string(
    "momentum_reset",
    Config.momentum_reset,
    "When a regime sets velocities to zero: renewal (where it names an "
    "optimizer) or epoch (at every one, as the published code did).",
)
flags.DEFINE_string(
    "learning_rate_scaling",
    Config.learning_rate_scaling,
    "What the learning rate is multiplied by: none, or sqrt or linear in the "
    "examples of an update over --reference_batch_size.",
)
flags.DEFINE_integer(
    "reference_batch_size",
    Config.reference_batch_size,
    "The batch for which learning rate and epochs were chosen.",
)
flags.DEFINE_bool(
    "regime_adaptation",
    Config.regime_adaptation,
    "Multiply --epochs, and epochs in schedules, by the examples of an update "
    "over --reference_batch_size, rounded up, so that the updates match.",
)
flags.DEFINE_float(
    "warmup_epochs",
    Config.warmup_epochs,
    "Epochs over which the learning rate rises in a straight line: from zero, "
    "or from the unscaled one where it is scaled up.",
)
flags.DEFINE_float(
    "global_clipnorm",
    Config.global_clipnorm,
    "Largest norm of the whole gradient; larger ones are scaled down.",
)
flags.DEFINE_integer(
    "gradient_accumulation",
    Config.gradient_accumulation,
    "Batches whose mean gradient makes one update. Steps in schedules, "
    "metrics and --save_every count updates.",
)
flags.DEFINE_float(
    "label_smoothing",
    Config.label_smoothing,
    "Part of each training target shared out among all classes.",
)
flags.DEFINE_float(
    "mixup",
    Config.mixup,
    "Mix training examples in pairs by shares from Beta(mixup, mixup); 0 for "
    "none.",
)
flags.DEFINE_float(
    "multiplicative_noise",
    Config.multiplicative_noise,
    "Multiply the loss of every training example by a number drawn around 1 "
    "with this standard deviation, in place of a larger learning rate; its "
    "square should grow with the batch.",
)
flags.DEFINE_integer(
    "batch_size", Config.batch_size, "Examples in a batch, of all replicas."
)
flags.DEFINE_integer("epochs", Config.epochs, "Epochs in all.")
flags.DEFINE_integer(
    "seed", Config.seed, "Decides every random choice of the run."
)
flags.DEFINE_string("dtype", Config.dtype, f"One of {list(DTYPES)}.")
flags.DEFINE_string(
    "strategy",
    Config.strategy,
    "Devices: 'auto', 'none', 'mirrored' (all GPUs) or 'mirrored(devices=2)' "
    "(logical CPU devices where there is no GPU), or 'multi_worker'.",
)
flags.DEFINE_list(
    "worker_hosts",
    Config.worker_hosts,
    "Addresses host:port of all workers of 'multi_worker', the chief's first; "
    "by default those of TF_CONFIG or Slurm.",
)
flags.DEFINE_integer(
    "worker_index",
    Config.worker_index,
    "Which of --worker_hosts this is, from 0.",
)
flags.DEFINE_float(
    "worker_timeout",
    Config.worker_timeout,
    "Seconds to wait at the start for all workers.",
)
