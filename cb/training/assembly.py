"""Composition root: builds model and callbacks from a configuration."""

import dataclasses
from collections.abc import Callable
from collections.abc import Mapping
from typing import Final

import keras
import tensorflow as tf

from cb import conversion
from cb import models
from cb.callbacks.checkpointing import AverageStatistics
from cb.callbacks.checkpointing import Checkpointing
from cb.callbacks.pictures import Pictures
from cb.callbacks.progress import Progress
from cb.callbacks.progress import StopWhenNotFinite
from cb.callbacks.reallocation.callback import Reallocation
from cb.callbacks.reallocation.csr_writer import check_algorithm
from cb.callbacks.regime import FollowRegime
from cb.callbacks.run_logger import RunLogger
from cb.callbacks.slots import last_learning_rate
from cb.callbacks.weight_distance import TOTAL
from cb.callbacks.weight_distance import WeightDistance
from cb.config import FIRST
from cb.config import Config
from cb.config import is_explicit
from cb.conversion import Report
from cb.conversion import options
from cb.datasets.dataset_splits import DatasetSplits
from cb.errors import argument_error
from cb.layers import normalization
from cb.registry import parse_spec
from cb.run_log import RunLog
from cb.run_log import open_log
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.command_line import command_line
from cb.runs.directory import RunDirectory
from cb.schedules import TrainingLength
from cb.seeds import fold_in
from cb.sparsity import reallocation
from cb.sparsity.granularity import pattern
from cb.training import compilation
from cb.training import regime
from cb.training.data import Data
from cb.training.data import without_mixup
from cb.training.executions import Undisturbed
from cb.training.executions import undisturbed
from cb.training.start import initialize_dense
from cb.training.start import rewind

# Steps between logged events of algorithms that act after every step.
LOGGED_EVERY = 100
TICKET: Final = "lottery_ticket"


def completed(config: Config) -> Config:
    """Write out every hyperparameter that a spec leaves to its default.

    Raises:
        InputError: If a name or a value in a spec is wrong.
    """
    config = without_mixup(config).completed()
    epochs = reallocation.build(config.reallocation).total_epochs()
    return (
        config if epochs is None else dataclasses.replace(config, epochs=epochs)
    )


def resolve(
    config: Config, sources: Mapping[str, str]
) -> tuple[Config, dict[str, str]]:
    """Write out the regime and every default of a configuration.

    Args:
        config: `Config` as given.
        sources: Dict of field to the origin of its value.

    Returns:
        Tuple of the complete `Config` and its sources.

    Raises:
        InputError: If the regime or a spec is wrong.
    """
    config, sources = regime.applied(config, sources)
    if config.masks == "nonzero":
        groups = pattern(config.granularity)
        sparsity = 1 - groups[0] / groups[1] if groups else 0.0
        if config.sparsity != sparsity and is_explicit("sparsity", sources):
            expected = "left out with masks='nonzero', where zeros decide"
            raise argument_error("sparsity", expected, config.sparsity)
        config = dataclasses.replace(config, sparsity=sparsity)
    if config.masks == TICKET and config.initialize_from is None:
        expected = f"a run that was trained, with masks={TICKET!r}"
        raise argument_error("initialize_from", expected, None)
    return completed(config), sources


def for_checkpoint(config: Config) -> Config:
    """Return the configuration of a model whose state is read afterwards.

    The weights that its first masks came from are not needed again.
    """
    return dataclasses.replace(config, masks="random", initialize_from=None)


def build_model(
    config: Config,
    source: DatasetSplits,
    report: Callable[[Report], object] | None = None,
) -> keras.Model:
    """Build the sparse model, its weights and masks drawn from the seed.

    Args:
        config: `Config`.
        source: `DatasetSplits`, for its shapes.
        report: Callable that receives the `Report` of `sparsify`.

    Returns:
        A Keras model without an optimizer.

    Raises:
        InputError: If a part is wrong or two of them do not go together.
    """
    _check_combinations(config)
    keras.config.set_dtype_policy(config.dtype)
    keras.utils.set_random_seed(fold_in(config.seed, "model") % 2**32)
    model = models.build(config.model, source.input_shape, source.num_classes)
    if config.initialize_from and config.masks != "random":
        initialize_dense(model, config.initialize_from)
    sharing = options.weight_sharing(config.weight_sharing)
    common = {
        name: getattr(config, name)
        for name in ("include", "exclude", "granularity", "seed")
    }
    # The sparse form first, of what the model keeps dense.
    if sharing.name == "tied":
        model = conversion.tie(
            model, config.sparsity, **common, **sharing.kwargs
        )
    else:
        model = conversion.sparsify(
            model,
            None if config.masks == "nonzero" else config.sparsity,
            config.distribution,
            **common,
            masks="magnitude" if config.masks == TICKET else config.masks,
            rounding=config.rounding,
            regularization=config.regularization,
            report=report,
        )
    if config.masks == TICKET:
        rewind(model, str(config.initialize_from))
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return normalization.apply(
        config.normalization, model, config.batch_size // replicas
    )


def build_compiled_model(
    config: Config,
    data: Data,
    strategy: tf.distribute.Strategy,
    report: Callable[[Report], object] | None = None,
    prepare: Callable[[keras.Model], keras.Model] | None = None,
) -> keras.Model:
    """Build the sparse model of a run on its devices and compile it.

    Args:
        config: `Config`, complete.
        data: `Data` of the run.
        strategy: `tf.distribute.Strategy`.
        report: As in `build_model`.
        prepare: Callable from the sparse model to the one that is compiled;
            the identity by default.

    Returns:
        A compiled Keras model.

    Raises:
        InputError: If a part is wrong or two of them do not go together.
    """
    with strategy.scope():
        model = build_model(config, data.source, report)
        if prepare is not None:
            model = prepare(model)
        compilation.compile_model(
            model, config, data.training_length(), data.source.num_classes
        )
    return model


def on_kernels(
    config: Config,
    model: keras.Model,
    report: Callable[[dict[str, str]], object] | None = None,
) -> keras.Model:
    """Convert a masked model to the kernels that it trains on.

    Args:
        config: `Config`.
        model: Keras model from `build_model`.
        report: Callable that receives a dict of the name of a masked layer
            to the reason that it stays masked, empty if it does not.

    Returns:
        A Keras model for training only, or the given one.

    Raises:
        InputError: If the kernels do not suit the model.
    """
    kernels = options.kernels(config.kernels)
    if kernels.name == "csr":
        return conversion.to_csr(model, report=report, **kernels.kwargs)
    return model


def _has_masks(config: Config) -> bool:
    return parse_spec(config.weight_sharing).name == "none"


def _check_combinations(config: Config) -> None:
    """Refuse parts that do not suit shared weights or CSR kernels."""
    if not _has_masks(config):
        sharing = f"weight_sharing={config.weight_sharing!r}"
        reason = f"{sharing}, which leaves no masks"
        _require(config, "reallocation", "static", reason)
        _require(config, "regularization", "none", reason)
        _require(config, "masks", "random", reason)
    if options.kernels(config.kernels).name != "masked":
        check_algorithm(reallocation.build(config.reallocation))
        reason = f"kernels={config.kernels!r}"
        _require(config, "auto_tune", "none", reason)
        _require(config, "weight_sharing", "none", reason)


def _require(config: Config, field: str, only: str, reason: str) -> None:
    value = getattr(config, field)
    if parse_spec(value).name != only:
        raise argument_error(field, f"{only!r} with {reason}", value)


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """Callbacks of a run.

    Attributes:
        reallocation: Dict of name to `Reallocation`, empty without masks.
        logger: `RunLogger`.
        checkpointing: `Checkpointing`.
        others: List of callbacks that come before `checkpointing`.
        undisturbed: `Undisturbed`, between two calls of them.
    """

    reallocation: dict[str, Reallocation]
    logger: RunLogger
    checkpointing: Checkpointing
    others: list[keras.callbacks.Callback]
    undisturbed: Undisturbed

    def in_order(self) -> list[keras.callbacks.Callback]:
        """Return all callbacks: state changes first, then logs, then saves."""
        return [
            FollowRegime(),
            *self.reallocation.values(),
            AverageStatistics(),
            StopWhenNotFinite(),
            self.logger,
            *self.others,
            self.checkpointing,
        ]


def build_callbacks(
    config: Config, data: Data, run: RunDirectory, terminal: bool
) -> Callbacks:
    """Build the callbacks; nothing is written before training begins."""
    updates = data.updates_per_epoch
    log = open_log(run, updates, config.log_to)
    logger = RunLogger(
        log,
        updates,
        config.identity(),
        data.train if config.evaluate_train else None,
        data.source.input_shape,
        data.test if config.evaluate_test else None,
        compared_by=FIRST,
        command=command_line(config, completed(Config())),
    )
    pictures = Pictures(log, data.batches.probe)

    def on_event(step, changes):
        callback = reallocations["reallocation"]
        # Events after every step are sampled.
        sampled = step % LOGGED_EVERY == 0 or step % updates == 0
        if sampled or not callback.algorithm.every_step:
            logger.log_event(step, changes, callback.metrics())
            pictures.note(step, changes)

    reallocations = {}
    if _has_masks(config):
        reallocations["reallocation"] = _build_reallocation(
            config, data, on_event
        )
    real = TrainingLength(data.epochs * updates, updates)
    distances = _build_distances(config, log, data.epochs * updates)
    save_every = max(real.steps(config.save_every, "save_every"), 1)
    checkpointing = Checkpointing(
        CheckpointFolder(run.checkpoints, run.writes),
        {**reallocations, **distances},
        log,
        steps_per_epoch=data.batches.steps_per_epoch,
        save_every=save_every * config.gradient_accumulation,
        checkpoint_every=config.checkpoint_every,
    )
    others: list[keras.callbacks.Callback] = [pictures, *distances.values()]
    others.append(
        Progress(
            config.print_every,
            data.epochs,
            updates,
            data.batches.seconds_waited,
            terminal,
        )
    )
    return Callbacks(
        reallocations,
        logger,
        checkpointing,
        others,
        undisturbed(config, data, reallocations.values()),
    )


def _build_reallocation(config: Config, data: Data, on_event) -> Reallocation:
    training_length = data.training_length()
    callback = Reallocation(
        config.reallocation,
        dataset=data.batches.probe,
        seed=config.seed,
        total_steps=training_length.total_steps,
        steps_per_epoch=data.epoch_factor * data.updates_per_epoch,
        on_event=on_event,
    )
    # Refuses bad times before the start.
    callback.algorithm.period(training_length)
    return callback


def _build_distances(
    config: Config, log: RunLog, last_step: int
) -> dict[str, WeightDistance]:
    if not config.weight_distance:
        return {}

    def on_record(step, distances):
        # The learning rate tells which plateau a distance belongs to.
        numbers = {"learning_rate": last_learning_rate(distance.model)}
        numbers["weight_distance"] = distances.pop(TOTAL)
        for name, value in distances.items():
            numbers[f"weight_distance/{name}"] = value
        log.scalars(step, numbers)

    distance = WeightDistance(config.weight_distance, on_record, last_step)
    return {"weight_distance": distance}
