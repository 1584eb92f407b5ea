"""The fields of a run's configuration; each is a flag, a key and a setting."""

import dataclasses
import os
from typing import Literal

from cb.config.metadata import DATA
from cb.config.metadata import DEVICES
from cb.config.metadata import LARGE_BATCHES
from cb.config.metadata import MODEL
from cb.config.metadata import RUN
from cb.config.metadata import SPARSITY
from cb.config.metadata import TRAINING
from cb.config.metadata import flag
from cb.config.metadata import part
from cb.registry import Count
from cb.registry import Fraction
from cb.registry import Natural
from cb.registry import NotNegative
from cb.registry import Positive
from cb.registry import Rate
from cb.schedules import Time
from cb.sparsity.amount import as_text
from cb.sparsity.amount import parse_sparsity


def _sparsity(value):
    """Return a sparsity as it is written, or refuse it."""
    parse_sparsity(value)
    return as_text(value) if isinstance(value, dict) else value


def _path(value):
    """Write out `~`, which a shell leaves in `--flag=~/folder`."""
    return os.path.expanduser(value) if isinstance(value, str) else value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fields:
    """The fields of `cb.config.Config`.

    A field and its entry below are all that a flag needs: annotation (type and
    range), default, group, help, and whatever else of
    `cb.config.metadata.Metadata` it has. The flag, `--set`, YAML files and
    `config.json` follow.

    Args:
        dataset: Data set, one of {cb.datasets}, or a name of TensorFlow
            Datasets.
        data_dir: Folder of prepared TensorFlow Datasets. Default: that of the
            library.
        accept_changed_data: Go on with a run whose data are not those that it
            began with.
        validation_fraction: Fraction of the training examples of each class
            held out for validation.
        validation_examples: Number of training examples held out instead of a
            fraction, from each class in proportion to its size.
        fold: Fold held out instead of a fraction: '2/5' is the second of five.
            The folds are the same for every seed.
        limit_examples: Largest number of examples used of the training set,
            of the test set and of a validation set that the data have.
        augmentation: Augmentations joined by |, such as
            'pad_crop(padding=4)|flip', of {cb.datasets.augmentation} and
            mixup; or auto (the model's recipe if it fits the data, else the
            data set's), model, "published('SOURCE')", "corrected('SOURCE')" or
            none.
        data_workers: Threads that prepare batches. Default: as many as are of
            use.
        show_input: Write input.png into the run's folder and to TensorBoard:
            training examples with their labels, as evaluated and as augmented.
        model: Model, such as 'mlp(units=(300, 100))', one of {cb.models}; or a
            file that registers one, such as 'my/model.py(width=3)'.
        normalization: batch (what the model has), or 'ghost(size=128)': batch
            normalization over virtual batches of that size on each replica.
        sparsity: Fraction of the masked weights that is inactive, in [0, 1),
            or one for each kind or name pattern of layers:
            'conv=0.5,dense=0.98'. The first pattern that matches counts;
            without a match a layer stays dense.
        distribution: Distribution of the connections over the layers, one of
            {cb.sparsity.distributions}.
        masks: First masks: random; magnitude (the largest weights of each layer
            stay); lottery_ticket (the same, and every weight starts as in the
            run of --initialize_from); or nonzero (weights that are not zero,
            of a model that was pruned before, without --sparsity). The weights
            are those of --initialize_from, or of a model file.
        rounding: Rounding of the number of connections: total (exact over all
            layers), or down, nearest or up in each layer, as in published
            runs.
        granularity: Weights that share a mask entry: weight, row, slice,
            filter, 'block(rows=4, columns=4)' or 'n_by_m(n=2, m=4)'.
        include: Patterns of the names of layers to mask. Default: all with a
            kernel, except those that the model keeps dense.
        exclude: Patterns of the names of layers to keep dense.
        regularization: Penalty on active weights, such as 'l1(1e-5)': none
            (that of the model), l1, l2, l1_l2 or group_lasso.
        weight_sharing: none, or 'tied(rescale_gradient=True)': instead of
            masks, the weights of each layer share (1 - sparsity) times as many
            values at random.
        kernels: How masked layers are trained: masked (products with whole
            kernels), or 'csr(max_density=0.05, min_size=250000)', where layers
            that sparse and that large store and update active weights only, by
            default those for which it pays.
        reallocation: Algorithm that moves connections, such as
            'rigl(drop_fraction=0.3, every=100)', one of
            {cb.sparsity.reallocation}.
        optimizer: Optimizer, such as 'adam(beta_1=0.9)': those of Keras in
            snake case, and {cb.optimization}.
        learning_rate: Learning rate.
        learning_rate_schedule: Learning-rate schedule, such as
            'cosine(warmup="5ep")', one of {cb.optimization.learning_rates}.
        regime: Settings of the optimizer by first epoch: none, model (those of
            the model's source, with its epochs, batch size, clipping, label
            smoothing and sparsity), a YAML file such as '{0: {optimizer: sgd,
            learning_rate: 0.1, momentum: 0.9, weight_decay: 0.0001}, 10:
            {learning_rate: 0.01}}', or such text itself. --optimizer,
            --learning_rate and --learning_rate_schedule override it.
        momentum_reset: When a regime sets velocities to zero: renewal (where
            it names an optimizer) or epoch (every epoch, as in the published
            code).
        learning_rate_scaling: Factor of the learning rate: none, or the
            examples of an update over --reference_batch_size (linear), or its
            square root (sqrt).
        reference_batch_size: Batch size for which learning rate and epochs
            were chosen.
        regime_adaptation: Multiply --epochs, and epochs in schedules, by the
            examples of an update over --reference_batch_size, rounded up, so
            that the number of updates stays the same.
        warmup_epochs: Epochs of linear warm-up of the learning rate: from
            zero, or from the unscaled learning rate where it is scaled up.
        global_clipnorm: Largest norm of the whole gradient; larger ones are
            scaled down.
        gradient_accumulation: Batches whose mean gradient makes one update.
            Steps in schedules, metrics and --save_every count updates.
        steps_per_execution: Most batches trained on between two calls of
            callbacks, as in `compile` of Keras. With 20 a step of a small
            model takes 0.7 of the time, with the same numbers: of epochs and
            of the batches between events the largest divisor up to it is
            taken.
        label_smoothing: Fraction of each training target spread over all
            classes.
        mixup: Mix pairs of training examples with weights from Beta(mixup,
            mixup); 0 for none.
        multiplicative_noise: Standard deviation of noise around 1 that
            multiplies the loss of each training example, instead of a larger
            learning rate; its square should grow with the batch.
        batch_size: Examples in a batch, over all replicas.
        epochs: Epochs of the run.
        seed: Seed of every random choice of the run.
        dtype: Data type policy of Keras.
        strategy: Devices: 'auto', 'none', 'mirrored' (all GPUs),
            'mirrored(devices=2)' (logical CPU devices where there is no GPU)
            or 'multi_worker'.
        worker_hosts: Addresses host:port of all workers of 'multi_worker', the
            chief's first. Default: those of TF_CONFIG or Slurm.
        worker_index: Position of this worker in --worker_hosts, from 0.
        worker_timeout: Seconds to wait for all workers at the start.
        run_dir: Folder of the run. Default: runs/<name or model>_<hash>, so
            that the same command finds its run again.
        name: Name of the run's folder.
        job_idx: Number in the name of the run's folder.
        initialize_from: RUN[:initial|best|last|N]: start from the weights and
            masks of a run.
        initial_epoch: Epoch to start with.
        checkpoint_every: Epochs between numbered checkpoints, which are kept;
            0 for none.
        save_every: Interval at which the last checkpoint is written: '1ep', or
            steps.
        print_every: Steps between lines of progress inside of an epoch. On a
            terminal each replaces the one before.
        log_to: Where numbers go besides metrics.csv: any of {cb.run_log}, with
            commas between them, such as 'tensorboard,wandb(project="digits")';
            or none.
        evaluate_train: Evaluate the training examples, without augmentation,
            after every epoch.
        evaluate_test: Evaluate the test examples after every epoch, as
            published curves do; nothing is chosen by these scores.
        weight_distance: Measurements of the distance between the weights and
            the initial ones while the step grows tenfold, such as 20, and at
            the end; 0 for none.
        auto_tune: Whether to train again without the blocks that have
            conflicts: none, or for example 'auto_tune(rule="truncate",
            checks=2)'.
    """

    dataset: str = part(
        "digits", DATA, "cb.datasets:complete", common=True, light=True
    )
    data_dir: str | None = flag(None, DATA, identity=False, convert=_path)
    accept_changed_data: bool = flag(False, DATA, identity=False, kept=False)
    validation_fraction: Rate = flag(0.1, DATA)
    validation_examples: Natural | None = flag(None, DATA)
    fold: str | None = flag(None, DATA, check="cb.datasets.splits:parse_fold")
    limit_examples: Count | None = flag(None, DATA)
    augmentation: str = flag(
        "auto", DATA, parts="cb.datasets.preparation:complete", light=True
    )
    data_workers: Count | None = flag(None, DATA, identity=False)
    show_input: bool = flag(False, DATA, identity=False)
    model: str = part("mlp", MODEL, "cb.models:complete", common=True)
    normalization: str = part(
        "batch", MODEL, "cb.layers.normalization:complete"
    )
    sparsity: float | str = flag(0.9, SPARSITY, common=True, convert=_sparsity)
    distribution: str = part(
        "erk",
        SPARSITY,
        "cb.sparsity.distributions:REGISTRY.complete",
        common=True,
        light=True,
    )
    masks: Literal["random", "magnitude", "lottery_ticket", "nonzero"] = flag(
        "random", SPARSITY, later=True
    )
    rounding: Literal["total", "down", "nearest", "up"] = flag(
        "total", SPARSITY
    )
    granularity: str = part(
        "weight",
        SPARSITY,
        "cb.sparsity.granularity:REGISTRY.complete",
        light=True,
    )
    include: list[str] | None = flag(None, SPARSITY)
    exclude: list[str] | None = flag(None, SPARSITY)
    regularization: str = part(
        "none", TRAINING, "cb.layers.regularizers:REGISTRY.complete"
    )
    weight_sharing: str = part(
        "none", SPARSITY, "cb.conversion.options:weight_sharing"
    )
    kernels: str = part("masked", SPARSITY, "cb.conversion.options:kernels")
    reallocation: str = part(
        "rigl",
        SPARSITY,
        "cb.sparsity.reallocation:REGISTRY.complete",
        common=True,
        light=True,
    )
    optimizer: str = part(
        "sgd(momentum=0.9, nesterov=True)",
        TRAINING,
        "cb.optimization.optimizers:REGISTRY.complete",
        common=True,
    )
    learning_rate: Positive = flag(0.1, TRAINING, common=True)
    learning_rate_schedule: str = part(
        "cosine",
        TRAINING,
        "cb.optimization.learning_rates:REGISTRY.complete",
        common=True,
        light=True,
    )
    regime: str = flag(
        "none", TRAINING, check="cb.optimization.regimes:check_text"
    )
    momentum_reset: Literal["renewal", "epoch"] = flag("renewal", TRAINING)
    learning_rate_scaling: Literal["none", "sqrt", "linear"] = flag(
        "none", LARGE_BATCHES
    )
    reference_batch_size: Count | None = flag(None, LARGE_BATCHES)
    regime_adaptation: bool = flag(False, LARGE_BATCHES)
    warmup_epochs: NotNegative = flag(0.0, LARGE_BATCHES)
    global_clipnorm: Positive | None = flag(None, TRAINING)
    gradient_accumulation: Count = flag(1, LARGE_BATCHES)
    steps_per_execution: Count = flag(1, TRAINING, identity=False)
    label_smoothing: Fraction = flag(0.0, TRAINING)
    mixup: NotNegative = flag(0.0, TRAINING)
    multiplicative_noise: NotNegative = flag(0.0, LARGE_BATCHES)
    batch_size: Count = flag(50, TRAINING, common=True)
    epochs: Count = flag(30, TRAINING, common=True)
    seed: Natural = flag(0, RUN, common=True)
    dtype: Literal["float32", "mixed_bfloat16", "mixed_float16"] = flag(
        "float32", DEVICES
    )
    strategy: str = part("auto", DEVICES, "cb.distribute:REGISTRY.complete")
    worker_hosts: list[str] | None = flag(None, DEVICES, identity=False)
    worker_index: Natural | None = flag(None, DEVICES, identity=False)
    worker_timeout: Positive = flag(300.0, DEVICES, identity=False)
    run_dir: str | None = flag(None, RUN, common=True, identity=False)
    name: str | None = flag(None, RUN, identity=False)
    job_idx: int | None = flag(None, RUN, identity=False)
    initialize_from: str | None = flag(None, RUN)
    initial_epoch: Natural = flag(0, RUN)
    checkpoint_every: Natural = flag(0, RUN, identity=False)
    save_every: Time = flag("1ep", RUN, identity=False)
    print_every: Count = flag(100, RUN, identity=False)
    log_to: str = flag(
        "tensorboard", RUN, identity=False, check="cb.run_log:check_names"
    )
    evaluate_train: bool = flag(False, RUN)
    evaluate_test: bool = flag(False, RUN, identity=False)
    weight_distance: Natural = flag(0, RUN)
    auto_tune: str = part(
        "none", RUN, "cb.bundles.settings:complete", light=True
    )
