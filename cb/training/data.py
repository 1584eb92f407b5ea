"""Builds a run's data from its configuration: loading, splits, augmentation."""

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from cb import datasets
from cb import models
from cb.config import Config
from cb.datasets import preparation
from cb.datasets.augmentation import Pipeline
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.datasets.pipeline import TrainingBatches
from cb.datasets.pipeline import evaluation_batches
from cb.datasets.splits import hold_out
from cb.datasets.storage import EncodedImages
from cb.datasets.storage import reader
from cb.errors import InputError
from cb.errors import argument_error
from cb.metrics.samples import sample
from cb.schedules import TrainingLength
from cb.training import compilation


@dataclasses.dataclass(frozen=True)
class Data:
    """Examples of a run, and their batches.

    Attributes:
        source: `DatasetSplits`, at most `--limit_examples` of each part.
        batches: `TrainingBatches`.
        train: `tf.data.Dataset` of batches of the training examples,
            without augmentation.
        validation: As `train`, of the held-out examples; or `None`.
        test: As `train`, of the test examples.
        epochs: Integer, of the training.
        epoch_factor: Integer, epochs of training for one of `--epochs`.
        examples: `Examples` that are trained on.
        held_out: `Examples` for validation, or `None`.
        evaluation: `Pipeline` of the transforms for evaluation.
    """

    source: DatasetSplits
    batches: TrainingBatches
    train: tf.data.Dataset
    validation: tf.data.Dataset | None
    test: tf.data.Dataset
    epochs: int
    epoch_factor: int
    examples: Examples
    held_out: Examples | None
    evaluation: Pipeline

    @property
    def updates_per_epoch(self) -> int:
        """Number of optimizer steps of an epoch."""
        return self.batches.steps_per_epoch // self.batches.accumulation

    def training_length(self) -> TrainingLength:
        """Return the length of the training, in updates.

        An epoch in a schedule's times is `epoch_factor` epochs of the data.
        """
        updates = self.updates_per_epoch
        return TrainingLength(
            self.epochs * updates, self.epoch_factor * updates
        )

    @contextlib.contextmanager
    def decoded(self) -> Iterator[None]:
        """Name the image that cannot be decoded, which TensorFlow does not.

        Raises:
            InputError: Instead of TensorFlow's error, if there is such an
                image.
        """
        try:
            yield
        except tf.errors.InvalidArgumentError:
            for part in self.source.parts().values():
                if isinstance(part.features, EncodedImages):
                    part.features.require_decodable()
            raise

    def sample(self, positions):
        """Return training examples without augmentation.

        Args:
            positions: Integer array `(number,)`, indices into `examples`.

        Returns:
            float32 tensor `(number, ...)`.
        """
        read = reader(self.examples.features)
        return read(tf.constant(positions, tf.int64), self.evaluation, None)


def build_data(config: Config, replicas: int) -> Data:
    """Load the data set and split it into parts and batches.

    Args:
        config: `Config`, complete.
        replicas: Integer, number of replicas that share a batch.

    Raises:
        InputError: If the data set, its split or its augmentation is wrong.
    """
    if config.batch_size % replicas:
        raise InputError(
            f"Argument `batch_size` is global and must be divisible by the "
            f"{replicas} replicas. Received: batch_size={config.batch_size}"
        )
    source = datasets.load(config.dataset, config.data_dir)
    source = source.limited(config.limit_examples)
    train, validation = split(config, source)
    chain = build_chain(config.augmentation, source, config.model)
    chain = chain.fitted(train.features)
    source = shaped(source, chain)
    targets, score_targets = compilation.build_targets(
        config, source.num_classes
    )
    batches = TrainingBatches(
        train,
        config.batch_size,
        config.seed,
        chain,
        config.gradient_accumulation,
        targets,
        config.data_workers,
    )

    evaluated = chain.evaluation()

    def evaluation(examples):
        size, workers = config.batch_size, config.data_workers
        batches = evaluation_batches(
            examples, size, replicas, evaluated, workers
        )
        return batches.map(score_targets) if score_targets else batches

    return Data(
        source,
        batches,
        train=evaluation(train),
        validation=validation and evaluation(validation),
        test=evaluation(source.test),
        epochs=compilation.epochs(config),
        epoch_factor=compilation.epoch_factor(config),
        examples=train,
        held_out=validation,
        evaluation=evaluated,
    )


def split(
    config: Config, source: DatasetSplits
) -> tuple[Examples, Examples | None]:
    """Return the training examples, and the held-out ones or `None`.

    Raises:
        InputError: If nothing is left on a side, or a split is asked for of
            data that have a validation part.
    """
    if source.validation is not None:
        for name in ("fold", "validation_examples"):
            if getattr(config, name) is not None:
                expected = "None for data that have a validation part"
                raise argument_error(name, expected, getattr(config, name))
        return source.train, source.validation
    return hold_out(
        source.train,
        config.validation_fraction,
        config.seed,
        config.validation_examples,
        config.fold,
        source.ordered,
    )


def build_chain(
    text: str, source: DatasetSplits, model: str | None = None
) -> Pipeline:
    """Return the augmentations of a run, not fitted yet.

    Args:
        text: Value of `--augmentation`.
        source: `DatasetSplits`.
        model: Spec of the model, whose recipe may name them, or `None`.

    Returns:
        A `Pipeline`.
    """
    recipe = models.recipe(model) if model else None
    transform = recipe.train_transform if recipe else None
    return preparation.resolve(text, source, transform)


def shaped(source: DatasetSplits, chain: Pipeline) -> DatasetSplits:
    """Return the source with the input shape of a model.

    Raises:
        InputError: If training and evaluation differ in shape.
    """
    trained = chain.output_shape(source.features_shape)
    evaluated = chain.evaluation().output_shape(source.features_shape)
    if trained != evaluated:
        raise InputError(
            f"Argument `augmentation` makes examples {trained} in training "
            f"and {evaluated} in evaluation. Received: "
            f"augmentation={str(chain)!r}"
        )
    return dataclasses.replace(source, input_shape=trained)


def without_mixup(config: Config) -> Config:
    """Turn `mixup(0.2)` among the augmentations into `--mixup=0.2`.

    Unlike other augmentations, it mixes targets as well.

    Raises:
        InputError: If both are given, or its arguments are wrong.
    """
    rest, alpha = preparation.without_mixup(config.augmentation, config.mixup)
    return dataclasses.replace(config, augmentation=rest, mixup=alpha)


def training_sample(config: Config, data: Data, num_samples: int):
    """Draw training examples with the run's seed, without augmentation.

    Args:
        config: `Config`.
        data: `Data` of the run.
        num_samples: Integer.

    Returns:
        Tuple of float features and integer labels.

    Raises:
        InputError: If there are fewer examples.
    """
    examples = data.examples
    if not 1 <= num_samples <= len(examples):
        most = f"at most {len(examples)}, the number of training examples"
        raise argument_error(
            "conflicting_samples_size", f"positive and {most}", num_samples
        )
    everywhere = (np.arange(len(examples)), examples.labels)
    positions, labels = sample(everywhere, num_samples, config.seed)
    return data.sample(positions).numpy(), labels
