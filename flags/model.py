"""Which model, and how sparse."""

from absl import flags

from cb.config import Config
from cb.registry import registered_names

flags.DEFINE_string(
    "model",
    Config.model,
    "Model, such as 'mlp(units=(300, 100))', one of "
    f"{sorted(registered_names('cb.models'))}, or a file that registers one, "
    "such as 'my/model.py(width=3)'.",
)
flags.DEFINE_string(
    "normalization",
    Config.normalization,
    "batch (what the model has), or 'ghost(size=128)': every batch "
    "normalization over virtual batches of that size on each replica.",
)
flags.DEFINE_string(
    "sparsity",
    Config.sparsity,
    "Part of the masked weights that is inactive, in [0, 1), or one for each "
    "kind or name pattern of layers: 'conv=0.5,dense=0.98'; layers that no "
    "pattern matches stay dense, and the first that matches holds.",
)
flags.DEFINE_string(
    "distribution",
    Config.distribution,
    "How connections are shared out among layers, one of "
    f"{sorted(registered_names('cb.sparsity.distributions'))}.",
)
flags.DEFINE_string(
    "rounding",
    Config.rounding,
    "How connections are counted: total (exact to one in all), or down, "
    "nearest or up in every layer, as published runs had it.",
)
flags.DEFINE_string(
    "granularity",
    Config.granularity,
    "What a mask entry stands for: weight, row, slice, filter, "
    "'block(rows=4, columns=4)' or 'n_by_m(n=2, m=4)'.",
)
flags.DEFINE_list(
    "include",
    Config.include,
    "Patterns of the names of layers to mask; by default all with a kernel "
    "that the model does not always keep dense.",
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
    "regularization",
    Config.regularization,
    "Penalty on active weights, such as 'l1(1e-5)': none (that of the model), "
    "l1, l2, l1_l2 or group_lasso.",
)
flags.DEFINE_string(
    "weight_sharing",
    Config.weight_sharing,
    "none, or 'tied(rescale_gradient=True)': instead of masks, the weights of "
    "each layer share one minus --sparsity as many values at random.",
)
flags.DEFINE_string(
    "kernels",
    Config.kernels,
    "How masked layers train: masked (products with whole kernels), or 'csr' "
    "or 'csr(max_density=0.05, min_size=250000)', where dense layers that are "
    "as sparse and as large hold, multiply and update active weights only.",
)
flags.DEFINE_string(
    "reallocation",
    Config.reallocation,
    "How connections move, such as 'rigl(drop_fraction=0.3, every=100)', one "
    f"of {sorted(registered_names('cb.sparsity.reallocation'))}.",
)
