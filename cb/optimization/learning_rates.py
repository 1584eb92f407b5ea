"""Learning-rate schedules by name, made of Keras's own."""

from collections.abc import Mapping
from typing import Annotated

from cb.errors import InputError
from cb.registry import Fraction
from cb.registry import Natural
from cb.registry import NotNegative
from cb.registry import Registry
from cb.registry import lazy_import
from cb.schedules import NotEmpty
from cb.schedules import Time
from cb.schedules import TrainingLength

keras = lazy_import("keras")

REGISTRY = Registry(
    "learning-rate schedule",
    __name__,
    given=("learning_rate", "training_length"),
)


@REGISTRY.register("constant")
def constant(learning_rate: NotNegative):
    """Keep the learning rate as it is."""
    return learning_rate


@REGISTRY.register("cosine")
def cosine(
    learning_rate: NotNegative,
    training_length: TrainingLength,
    final: Fraction = 0.0,
    warmup: Time = 0,
    end: Time = 1.0,
):
    """Decay by half a cosine, after a linear warm-up from zero.

    Args:
        learning_rate: Float, the highest.
        training_length: `TrainingLength`, the length of the training.
        final: Float, fraction of `learning_rate` at the end.
        warmup: Time that the warm-up takes.
        end: Time at which the decay ends.

    Returns:
        A Keras learning-rate schedule.
    """
    warmup_steps = training_length.steps(warmup, "warmup")
    decay_steps = training_length.steps(end, "end") - warmup_steps
    if decay_steps < 1:
        raise InputError(
            "Argument `end` must be later than `warmup`. "
            f"Received: warmup={warmup!r}, end={end!r}"
        )
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup_steps else learning_rate,
        decay_steps,
        alpha=final,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


@REGISTRY.register("linear")
def linear(
    learning_rate: NotNegative,
    training_length: TrainingLength,
    final: Fraction = 0.0,
    end: Time = 1.0,
):
    """Decay along a straight line.

    Args:
        learning_rate: Float, the first.
        training_length: `TrainingLength`, the length of the training.
        final: Float, fraction of `learning_rate` at the end.
        end: Time at which the decay ends.

    Returns:
        A Keras learning-rate schedule.
    """
    return keras.optimizers.schedules.PolynomialDecay(
        learning_rate,
        max(training_length.steps(end, "end"), 1),
        end_learning_rate=final * learning_rate,
    )


@REGISTRY.register("step")
def step(
    learning_rate: NotNegative,
    training_length: TrainingLength,
    at: Time | tuple[Time, ...] = (0.5, 0.75),
    factor: NotNegative = 0.1,
):
    """Multiply the learning rate by a factor at given times.

    Args:
        learning_rate: Float, the first.
        training_length: `TrainingLength`, the length of the training.
        at: Time, or a tuple of times, ascending.
        factor: Float.

    Returns:
        A Keras learning-rate schedule.
    """
    times = at if isinstance(at, tuple | list) else (at,)
    boundaries = [training_length.steps(time, "at") for time in times]
    if boundaries != sorted(boundaries):
        raise InputError(
            f"Argument `at` must hold ascending times. Received: at={at!r}"
        )
    rates = [learning_rate * factor**n for n in range(len(boundaries) + 1)]
    # Of times that are the same step in a short training, the last counts.
    found = dict(zip(boundaries, rates[1:], strict=True))
    return constants([*found], [rates[0], *found.values()])


@REGISTRY.register("piecewise")
def piecewise(
    learning_rate: NotNegative,
    training_length: TrainingLength,
    factors: Annotated[Mapping[Natural, NotNegative], NotEmpty()],
):
    """Multiply the learning rate by factors that change at given epochs.

    Args:
        learning_rate: Float.
        training_length: `TrainingLength`, the length of the training.
        factors: Dict of first epoch, ascending, to float. Before the first
            epoch its factor holds too.

    Returns:
        A Keras learning-rate schedule.
    """
    epochs = list(factors)
    if epochs != sorted(epochs):
        raise InputError(
            "Argument `factors` must have ascending epochs. "
            f"Received: factors={factors!r}"
        )
    boundaries = [
        training_length.steps(f"{epoch}ep", "factors") for epoch in epochs[1:]
    ]
    return constants(
        boundaries, [learning_rate * factors[epoch] for epoch in epochs]
    )


@REGISTRY.register("exponential")
def exponential(
    learning_rate: NotNegative,
    training_length: TrainingLength,
    rate: NotNegative = 0.96,
    every: Time = "1ep",
    staircase: bool = False,
):
    """Multiply the learning rate by `rate` over each interval.

    Args:
        learning_rate: Float, the first.
        training_length: `TrainingLength`, the length of the training.
        rate: Float.
        every: Time over which it is multiplied once.
        staircase: Boolean, whether it changes in steps.

    Returns:
        A Keras learning-rate schedule.
    """
    return keras.optimizers.schedules.ExponentialDecay(
        learning_rate,
        max(training_length.steps(every, "every"), 1),
        rate,
        staircase=staircase,
    )


def constants(boundaries: list[int], values: list[float]):
    """Return a Keras schedule of constant values.

    Args:
        boundaries: Steps from which the second and later values hold.
        values: List of floats, one more than boundaries.
    """
    # Keras applies a value up to and including its boundary.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [boundary - 1 for boundary in boundaries], values
    )


build = REGISTRY.build
