"""The one composition root: from a configuration to a trained model."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from cb import compilation
from cb import conversion
from cb import datasets
from cb import distribute
from cb import models
from cb.bundles import settings
from cb.callbacks.checkpointing import AverageStatistics
from cb.callbacks.checkpointing import Checkpointing
from cb.callbacks.pictures import Pictures
from cb.callbacks.progress import PlainProgress
from cb.callbacks.progress import StopWhenNotFinite
from cb.callbacks.reallocation import Reallocation
from cb.callbacks.run_logger import RunLogger
from cb.config import Config
from cb.conversion import Report
from cb.datasets import augmentation
from cb.datasets.pipeline import TrainingBatches
from cb.datasets.pipeline import evaluation_batches
from cb.datasets.source import Source
from cb.datasets.source import hold_out
from cb.errors import InputError
from cb.layers import granularity
from cb.layers import normalization
from cb.layers import regularizers
from cb.optimization import learning_rates
from cb.optimization import optimizers
from cb.registry import parse_spec
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from cb.sparsity import distributions
from cb.sparsity import reallocation
from cb.sparsity.schedules import Horizon
from cb.sparsity.seeds import fold

# What writes out the defaults of a part, by the field that names it.
COMPLETE: dict[str, Callable[..., Any]] = {
    "augmentation": augmentation.complete,
    "auto_tune": settings.REGISTRY.complete,
    "dataset": datasets.REGISTRY.complete,
    "distribution": distributions.REGISTRY.complete,
    "granularity": granularity.REGISTRY.complete,
    "learning_rate_schedule": learning_rates.REGISTRY.complete,
    "model": models.complete,
    "normalization": normalization.REGISTRY.complete,
    "optimizer": optimizers.REGISTRY.complete,
    "reallocation": reallocation.REGISTRY.complete,
    "regularization": regularizers.REGISTRY.complete,
    "strategy": distribute.REGISTRY.complete,
    "weight_sharing": conversion.WEIGHT_SHARING.complete,
}


def completed(config: Config) -> Config:
    """Write out every hyperparameter that a spec leaves to its default.

    Raises:
        InputError: If a name or a keyword in a spec is unknown.
    """
    specs: dict[str, Any] = {
        field: str(complete(getattr(config, field)))
        for field, complete in COMPLETE.items()
    }
    return dataclasses.replace(config, **specs)


@dataclasses.dataclass(frozen=True)
class Data:
    """The examples of a run, and the batches made of them."""

    source: Source
    batches: TrainingBatches
    train: tf.data.Dataset
    validation: tf.data.Dataset | None
    test: tf.data.Dataset
    epochs: int
    stretch: int

    @property
    def updates_per_epoch(self) -> int:
        """The optimizer steps of an epoch."""
        return self.batches.steps_per_epoch // self.batches.accumulation

    def horizon(self) -> Horizon:
        """Return the length of the training, in updates.

        An epoch in a schedule's times lasts as long as the regime is
        stretched.
        """
        updates = self.updates_per_epoch
        return Horizon(self.epochs * updates, self.stretch * updates)


def build_data(config: Config, replicas: int) -> Data:
    """Load the data set and cut it into parts and batches."""
    if config.batch_size % replicas:
        raise InputError(
            f"Argument `batch_size` is global and must be divisible by the "
            f"{replicas} replicas. Received: batch_size={config.batch_size}"
        )
    source = datasets.load(config.dataset, config.data_dir)
    train, validation = hold_out(
        source.train, config.validation_fraction, config.seed
    )
    targets, score_targets = compilation.build_targets(
        config, source.num_classes
    )
    batches = TrainingBatches(
        train,
        config.batch_size,
        config.seed,
        config.augmentation,
        config.gradient_accumulation,
        targets,
    )

    def evaluation(examples):
        batches = evaluation_batches(examples, config.batch_size, replicas)
        return batches.map(score_targets) if score_targets else batches

    return Data(
        source,
        batches,
        train=evaluation(train),
        validation=validation and evaluation(validation),
        test=evaluation(source.test),
        epochs=compilation.epochs(config),
        stretch=compilation.stretch(config),
    )


def build_model(
    config: Config,
    source: Source,
    report: Callable[[Report], object] | None = None,
) -> keras.Model:
    """Build the sparse model, its weights and masks drawn from the seed.

    Args:
        config: `Config`.
        source: `Source`, for its shapes.
        report: Callable that is given the `Report` of what became sparse.

    Returns:
        A Keras model without an optimizer.

    Raises:
        InputError: If a part is wrong or two of them do not go together.
    """
    _check_weight_sharing(config)
    keras.config.set_dtype_policy(config.dtype)
    keras.utils.set_random_seed(fold(config.seed, "model") % 2**32)
    model = models.build(config.model, source.input_shape, source.num_classes)
    # The sparse form first: what a model keeps dense is an attribute that
    # copies do not have.
    model = conversion.WEIGHT_SHARING.build(
        config.weight_sharing,
        model=model,
        sparsity=config.sparsity,
        distribution=config.distribution,
        include=config.include,
        exclude=config.exclude,
        granularity=config.granularity,
        regularization=config.regularization,
        seed=config.seed,
        report=report,
    )
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return normalization.REGISTRY.build(
        config.normalization, model=model, batch=config.batch_size // replicas
    )


def _has_masks(config: Config) -> bool:
    return parse_spec(config.weight_sharing).name == "none"


def _check_weight_sharing(config: Config) -> None:
    if _has_masks(config):
        return
    for field, only in (("reallocation", "static"), ("regularization", "none")):
        value = getattr(config, field)
        if parse_spec(value).name != only:
            raise InputError(
                f"Argument `{field}` must be {only!r} with weight_sharing="
                f"{config.weight_sharing!r}, which leaves no masks. "
                f"Received: {field}={value!r}"
            )


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """The callbacks of a run that others have to reach."""

    movers: dict[str, Reallocation]
    logger: RunLogger
    checkpointing: Checkpointing
    others: list[keras.callbacks.Callback]

    def in_order(self) -> list[keras.callbacks.Callback]:
        """Return all: what changes the state, what writes, what saves."""
        return [
            *self.movers.values(),
            AverageStatistics(),
            StopWhenNotFinite(),
            self.logger,
            *self.others,
            self.checkpointing,
        ]


def build_callbacks(
    config: Config, data: Data, run: RunDirectory, interactive: bool
) -> Callbacks:
    """Make the callbacks; nothing is written before training begins."""
    updates = data.updates_per_epoch
    steps_per_epoch = data.batches.steps_per_epoch
    logger = RunLogger(
        run,
        updates,
        config.identity(),
        data.train if config.evaluate_train else None,
    )
    pictures = Pictures(logger, data.batches.probe)

    def on_event(step, changes):
        logger.log_event(step, changes)
        logger.log(step, movers["reallocation"].metrics())
        pictures.note(step, changes)

    movers = {}
    if _has_masks(config):
        movers["reallocation"] = _build_mover(config, data, on_event)
    real = Horizon(data.epochs * updates, updates)
    save_every = max(real.steps(config.save_every, "save_every"), 1)
    checkpointing = Checkpointing(
        CheckpointFolder(run.checkpoints, run.writes),
        movers,
        metrics_size=logger.csv.size,
        steps_per_epoch=steps_per_epoch,
        save_every=save_every * config.gradient_accumulation,
        checkpoint_every=config.checkpoint_every,
    )
    others: list[keras.callbacks.Callback] = [pictures]
    if not interactive:
        others.append(
            PlainProgress(
                config.print_every,
                data.epochs,
                steps_per_epoch,
                lambda: data.batches.seconds_waited,
            )
        )
    return Callbacks(movers, logger, checkpointing, others)


def _build_mover(config: Config, data: Data, on_event) -> Reallocation:
    horizon = data.horizon()
    mover = Reallocation(
        config.reallocation,
        dataset=data.batches.probe,
        seed=config.seed,
        total_steps=horizon.total_steps,
        steps_per_epoch=data.stretch * data.updates_per_epoch,
        on_event=on_event,
    )
    mover.algorithm.period(horizon)  # Refuses bad times before the start.
    return mover


def fit(
    model: keras.Model,
    config: Config,
    data: Data,
    callbacks: Callbacks,
    position: tuple[int, int],
    interactive: bool,
) -> None:
    """Train from a position to the end.

    Args:
        model: Compiled Keras model.
        config: `Config`.
        data: `Data`.
        callbacks: `Callbacks`.
        position: Tuple of completed epochs and batches of the next one.
        interactive: Boolean, whether a person watches a terminal.
    """
    epoch, batch = position
    length = data.batches.steps_per_epoch
    ends = [epoch + 1, data.epochs] if batch else [data.epochs]
    for end in ends:
        if epoch >= end or model.stop_training:
            continue
        # An epoch begun takes a `fit` of its own for the rest of it.
        model.fit(
            data.batches.dataset(epoch * length + batch, end * length),
            initial_epoch=epoch,
            epochs=end,
            steps_per_epoch=length - batch,
            validation_data=data.validation,
            callbacks=callbacks.in_order(),
            shuffle=False,
            verbose=1 if interactive else 0,
        )
        epoch, batch = end, 0
