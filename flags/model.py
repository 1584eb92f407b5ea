"""Which model, and how sparse."""

from absl import flags

from cb.config import Config
from cb.registry import registered_names

flags.DEFINE_string(
    "model",
    Config.model,
    "Model, such as 'mlp(units=(300, 100))', one of "
    f"{sorted(registered_names('cb.models'))}.",
)
flags.DEFINE_float(
    "sparsity",
    Config.sparsity,
    "Part of the masked weights that is inactive, in [0, 1).",
)
flags.DEFINE_string(
    "distribution",
    Config.distribution,
    "How connections are shared out among layers, one of "
    f"{sorted(registered_names('cb.sparsity.distributions'))}.",
)
flags.DEFINE_string(
    "granularity", Config.granularity, "What a mask entry stands for: weight."
)
flags.DEFINE_list(
    "include",
    Config.include,
    "Patterns of the names of layers to mask; all with a kernel by default.",
)
flags.DEFINE_list(
    "exclude", Config.exclude, "Patterns of the names of layers left dense."
)
flags.DEFINE_string(
    "auto_tune",
    Config.auto_tune,
    "Whether to train again without the blocks that have conflicts, such as "
    "'auto_tune(rule=\"truncate\", checks=2)', one of "
    f"{sorted(registered_names('cb.bundles.settings'))}.",
)
flags.DEFINE_string(
    "reallocation",
    Config.reallocation,
    "How connections move, such as 'rigl(drop_fraction=0.3, every=100)', one "
    f"of {sorted(registered_names('cb.sparsity.reallocation'))}.",
)
