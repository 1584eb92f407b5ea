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
    "(logical CPU devices where there is no GPU).",
)
