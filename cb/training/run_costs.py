"""Costs of a run's model and of its training."""

from cb.config import Config
from cb.costs import Costs
from cb.costs import TrainingCosts
from cb.costs import costs
from cb.costs import training_costs
from cb.sparsity import reallocation
from cb.training.data import Data

# Costs in `evaluation.csv`: attributes of `Costs` and of its `weights`.
RECORDED = ("parameters", "macs", "flops")
STORED = ("dense_bytes", "csr_bytes", "bitmask_bytes")


def run_costs(config: Config, model, data: Data) -> tuple[Costs, TrainingCosts]:
    """Count the costs of inference and training.

    Args:
        config: `Config`.
        model: Keras model with its final masks.
        data: `Data`.

    Returns:
        Tuple of `Costs` and `TrainingCosts`.
    """
    found = costs(model, input_shape=data.source.input_shape)
    training = training_costs(
        found,
        reallocation.build(config.reallocation),
        data.training_length(),
        config.update_batch,
        config.batch_size,
        first_step=config.initial_epoch * data.updates_per_epoch,
    )
    return found, training


def recorded(found: Costs) -> dict[str, float]:
    """Return the numbers of `Costs` for `evaluation.csv`, by name."""
    return {
        **{name: getattr(found, name) for name in RECORDED},
        **{name: getattr(found.weights, name) for name in STORED},
    }
