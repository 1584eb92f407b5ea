"""Costs of a training, from what its algorithm declares."""

import dataclasses
from typing import Any

from cb.costs.model_costs import Costs
from cb.costs.model_costs import LayerCosts
from cb.errors import InputError
from cb.schedules import TrainingLength
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import FlopFactors

DENSE_STEP = 3


@dataclasses.dataclass(frozen=True)
class TrainingCosts:
    """The floating-point operations of a training.

    Attributes:
        step: Float, operations of an example in a step, on average.
        event: Float, operations of an example in an event, beyond the step.
        start: Float, operations of an example to choose the first masks.
        dense_step: Float, operations of an example in a dense step.
        steps: Integer.
        events: Integer.
        batch_size: Integer, examples in a step.
        probe_size: Integer, examples in an event.
    """

    step: float
    event: float
    start: float
    dense_step: float
    steps: int
    events: int
    batch_size: int
    probe_size: int

    @property
    def total(self) -> float:
        """Operations of the whole training."""
        beyond = self.events * self.event + self.start
        return self.steps * self.batch_size * self.step + (
            self.probe_size * beyond
        )

    @property
    def dense_total(self) -> float:
        """Operations of the same number of dense steps."""
        return self.steps * self.batch_size * self.dense_step

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers as values that JSON can hold."""
        return {
            **dataclasses.asdict(self),
            "total": self.total,
            "dense_total": self.dense_total,
        }


def training_costs(
    costs: Costs,
    algorithm: Algorithm,
    training_length: TrainingLength,
    batch_size: int,
    probe_size: int | None = None,
    first_step: int = 0,
) -> TrainingCosts:
    """Count the operations of a training with a reallocation algorithm.

    Events are counted up to the end of the algorithm's period, in addition
    to the steps. Connections that move between layers are not predicted:
    the masks are assumed to be those of `costs`.

    Args:
        costs: `Costs` of the model at the end of the training.
        algorithm: A reallocation algorithm.
        training_length: `TrainingLength` with the number of steps.
        batch_size: Integer, examples in a step.
        probe_size: Integer, examples that an event looks at. Defaults to
            `batch_size`.
        first_step: Integer, steps of the training_length that are left out.

    Returns:
        `TrainingCosts`.

    Raises:
        InputError: If the number of steps is not known.

    Reference:

    - [Evci et al., 2020, appendix H](https://arxiv.org/abs/1911.11134)
    """
    steps = training_length.total_steps
    if steps is None:
        raise InputError(
            "Argument `training_length` must have the number of steps. "
            f"Received: {training_length}"
        )
    period = algorithm.period(training_length)
    beyond = algorithm.event_passes() if period else FlopFactors()
    mean = sum(
        _mean_flops(layer, algorithm, training_length) for layer in costs.layers
    )
    return TrainingCosts(
        step=_flops(algorithm.step_passes(), mean, costs),
        event=_flops(beyond, costs.flops, costs),
        start=_flops(algorithm.start_passes(), costs.flops, costs),
        dense_step=DENSE_STEP * costs.dense_flops,
        steps=steps - first_step,
        events=period.count(steps) - period.count(first_step) if period else 0,
        batch_size=batch_size,
        probe_size=probe_size or batch_size,
    )


def published_step(costs: Costs, algorithm: Algorithm, every: int) -> float:
    """Return the operations of a step for one example, as published.

    After every `every` steps one step only computes dense gradients,
    throughout the training.

    Args:
        costs: `Costs`.
        algorithm: A reallocation algorithm.
        every: Integer, steps between events.

    Returns:
        Float.

    Reference:

    - [Evci et al., 2020, appendix H](https://arxiv.org/abs/1911.11134)
    """
    step = _flops(algorithm.step_passes(), costs.flops, costs)
    event = _flops(algorithm.event_passes(), costs.flops, costs)
    if not event:
        return step
    return (every * step + event) / (every + 1)


def _flops(passes: FlopFactors, sparse: float, costs: Costs) -> float:
    return passes.sparse * sparse + passes.dense * costs.dense_flops


def _mean_flops(
    layer: LayerCosts, algorithm: Algorithm, training_length: TrainingLength
) -> float:
    """Return the operations of a layer with its mean number of weights."""
    weights = layer.weights
    if not weights.sparse:
        return layer.flops
    density = weights.nonzero / weights.kernels
    inactive = 1.0 - algorithm.mean_density(density, training_length)
    saved = layer.dense_flops - layer.flops
    return layer.dense_flops - saved * inactive / (1.0 - density)
