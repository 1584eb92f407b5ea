"""Builds optimizer, loss, metrics and targets from a configuration."""

import functools
from typing import Any

import keras
import tensorflow as tf

from cb.config import Config
from cb.errors import InputError
from cb.layers import normalization
from cb.optimization import batches
from cb.optimization import learning_rates
from cb.optimization import optimizers
from cb.optimization import regime_optimizer
from cb.optimization import regimes
from cb.optimization.clipping import GlobalClipping
from cb.optimization.large_batch import adaptation_factor
from cb.optimization.large_batch import learning_rate_factor
from cb.optimization.schedules import PerUpdateSchedule
from cb.optimization.schedules import Warmup
from cb.registry import parse_spec
from cb.schedules import TrainingLength

TOP = 5
# Steps at which the highest learning rate is looked for.
_LOOKS = 1000


def epoch_factor(config: Config) -> int:
    """Return the number of epochs of training for one of `--epochs`.

    Raises:
        InputError: If the regime is adapted to no reference batch.
    """
    if not config.regime_adaptation:
        return 1
    return adaptation_factor(config.update_batch, config.reference_batch_size)


def epochs(config: Config) -> int:
    """Return the epochs of the training."""
    return config.epochs * epoch_factor(config)


def peak_learning_rate(config: Config) -> float:
    """Return the learning rate that schedules start from or rise to."""
    return config.learning_rate * learning_rate_factor(
        config.learning_rate_scaling,
        config.update_batch,
        config.reference_batch_size,
    )


def build_targets(config: Config, num_classes: int):
    """Return the functions from labels to targets, in training and evaluation.

    Args:
        config: `Config`.
        num_classes: Integer.

    Returns:
        Tuple of a function `(features, labels, seed)` that returns features,
        targets and, with multiplicative noise, weights of the examples; and
        a function `(features, labels)` that returns features and targets.
        `None` where features and labels stay the same.
    """
    smoothed = functools.partial(batches.smooth_labels, num_classes=num_classes)

    def soft(features, labels, seed):
        targets = smoothed(labels, smoothing=config.label_smoothing)
        return batches.mixup(features, targets, config.mixup, seed)

    def noisy(features, labels, seed):
        if _has_soft_targets(config):
            features, labels = soft(features, labels, seed)
        weights = batches.multiplicative_noise(
            tf.shape(features)[0],
            config.multiplicative_noise,
            tf.random.fold_in(seed, 1),
        )
        return features, labels, weights

    def exact(features, labels):
        return features, smoothed(labels)

    if not _has_soft_targets(config):
        return (noisy if config.multiplicative_noise else None), None
    return (noisy if config.multiplicative_noise else soft), exact


def compile_model(
    model: keras.Model,
    config: Config,
    training_length: TrainingLength,
    num_classes: int,
) -> None:
    """Compile the model with its optimizer, loss and metrics, all built.

    Args:
        model: Keras model.
        config: `Config`.
        training_length: `TrainingLength` of the training, in updates.
        num_classes: Integer.

    Raises:
        InputError: If a part is wrong or two of them do not go together.
    """
    optimizer = build_optimizer(config, training_length)
    if _has_soft_targets(config):
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.CategoricalAccuracy
        top = keras.metrics.TopKCategoricalAccuracy
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.SparseCategoricalAccuracy
        top = keras.metrics.SparseTopKCategoricalAccuracy
    loss = normalization.loss(config.normalization, loss)
    metrics = [accuracy(name="accuracy")]
    if num_classes > TOP:
        metrics.append(top(k=TOP, name=f"top_{TOP}_accuracy"))
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    model.optimizer.build(model.trainable_variables)


def build_optimizer(
    config: Config, training_length: TrainingLength
) -> keras.optimizers.Optimizer:
    """Build the optimizer with its learning rate and its wrappers."""
    accumulation = config.gradient_accumulation
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if accumulation > 1 and replicas > 1:
        raise InputError(
            "Argument `gradient_accumulation` must be 1 with several "
            "replicas: Keras sums over replicas inside of a condition, which "
            "TensorFlow cannot do. "
            f"Received: gradient_accumulation={accumulation}, with "
            f"{replicas} replicas"
        )
    optimizer = _rule(config, training_length)
    for part in getattr(optimizer, "optimizers", [optimizer]):
        inner = getattr(part, "optimizer", part)
        whole = isinstance(inner, GlobalClipping)
        if inner.global_clipnorm and replicas > 1 and not whole:
            raise InputError(
                "Argument `global_clipnorm` needs `published_sgd` or `radam` "
                "with several replicas: the optimizers of Keras clip the "
                "gradient of each by itself. Received: "
                f"optimizer={config.optimizer!r}, with {replicas} replicas"
            )
    if config.dtype == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _rule(
    config: Config, training_length: TrainingLength
) -> keras.optimizers.Optimizer:
    """Build the optimizer of the regime, or else of the run."""
    accumulation = config.gradient_accumulation
    steps = accumulation if accumulation > 1 else None
    learning_rate = _learning_rate(config, training_length)
    regime = _regime(config)
    if regime is not None and "optimizer" in regime.at(0):
        return regime_optimizer.build(
            regime,
            _updates_per_epoch(config, training_length),
            learning_rate,
            config.momentum_reset,
            gradient_accumulation_steps=steps,
            global_clipnorm=config.global_clipnorm,
        )
    if config.momentum_reset != "renewal":
        raise InputError(
            "Argument `momentum_reset` needs a regime that names its "
            f"optimizer. Received: momentum_reset={config.momentum_reset!r}"
        )
    if steps and callable(learning_rate):
        # Keras evaluates the learning rate once for each batch.
        learning_rate = PerUpdateSchedule(learning_rate, accumulation)
    spec = parse_spec(config.optimizer)
    if config.global_clipnorm is not None:
        spec.kwargs["global_clipnorm"] = config.global_clipnorm
    return optimizers.build(
        spec, learning_rate=learning_rate, gradient_accumulation_steps=steps
    )


def _regime(config: Config) -> regimes.Regime | None:
    """Return the regime, stretched to the length of the run."""
    if config.regime == "none":
        return None
    return regimes.from_yaml(config.regime).stretched(epoch_factor(config))


def _updates_per_epoch(config: Config, training_length: TrainingLength) -> int:
    # An epoch in the length is `epoch_factor` epochs of the data.
    return training_length.steps("1ep", "regime") // epoch_factor(config)


def _learning_rate(config: Config, training_length: TrainingLength):
    """Return the learning rate as a function of the updates done."""
    peak = peak_learning_rate(config)
    regime = _regime(config)
    if regime is not None and len(regime.values("learning_rate")) > 1:
        schedule = regime_optimizer.schedule(
            regime.starting_at(peak),
            "learning_rate",
            _updates_per_epoch(config, training_length),
        )
    else:
        schedule = learning_rates.build(
            config.learning_rate_schedule,
            learning_rate=peak,
            training_length=training_length,
        )
    if config.warmup_epochs:
        steps = training_length.steps(
            f"{config.warmup_epochs}ep", "warmup_epochs"
        )
        # A scaled learning rate is approached from the unscaled one.
        unscaled = config.learning_rate
        initial = unscaled if peak > unscaled else 0.0
        schedule = Warmup(schedule, steps, initial)
    return schedule


def _has_soft_targets(config: Config) -> bool:
    return config.label_smoothing > 0.0 or config.mixup > 0.0


def training_step(
    config: Config, training_length: TrainingLength
) -> dict[str, Any]:
    """Return the training step that bundles refer to, as arguments.

    Args:
        config: `Config`.
        training_length: `TrainingLength` of the training, in updates.

    Returns:
        Dict of the highest learning rate of the schedule and the number of
        examples of an update.
    """
    return {
        "learning_rate": _highest_learning_rate(config, training_length),
        "batch_size": config.update_batch,
    }


def _highest_learning_rate(
    config: Config, training_length: TrainingLength
) -> float:
    highest = peak_learning_rate(config)
    schedule = _learning_rate(config, training_length)
    if not callable(schedule):
        return highest
    # Some begin low and rise, as regimes do that warm up.
    total = training_length.total_steps or 0
    steps = {round(total * look / _LOOKS) for look in range(_LOOKS + 1)}
    rates = [float(schedule(step)) for step in steps]
    # The peak of the others lies between two looks.
    return max([highest, *rates]) if max(rates) > highest * 1.001 else highest
