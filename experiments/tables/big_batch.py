"""Train longer, generalize better: the poster's table and the script's runs."""

from typing import NamedTuple

from experiments.catalogue import GPU
from experiments.catalogue import RUNS
from experiments.catalogue import Experiment

PAPER = "Hoffer et al., 2017, https://arxiv.org/abs/1705.08741"
COLUMNS = {
    "sb": "small batch",
    "lb": "large batch",
    "lr": "large batch, scaled learning rate",
    "gbn": "large batch, scaled learning rate, ghost batch normalization",
    "ra": "large batch, scaled rate, ghosts, adapted regime",
}
SMALL, LARGE, GHOST = 128, 4096, 128


class Row(NamedTuple):
    """A network of the poster's table.

    Attributes:
        model: Spec.
        dataset: Spec.
        epochs: Integer, of the small batch.
        accuracies: Tuple in the order of `COLUMNS`.
        status: As in `Experiment`.
    """

    model: str
    dataset: str
    epochs: int
    accuracies: tuple[float, ...]
    status: str


ROWS = {
    "f1": Row("f1", "mnist", 50, (98.27, 97.05, 97.55, 97.60, 98.53), RUNS),
    "c1": Row("c1", "cifar10", 200, (87.80, 83.95, 86.15, 86.4, 88.20), GPU),
    "resnet44": Row(
        "resnet44", "cifar10", 200, (92.83, 86.10, 89.30, 90.50, 93.07), GPU
    ),
    "vgg": Row("vgg", "cifar10", 200, (92.30, 84.1, 88.6, 91.50, 93.03), GPU),
    "c3": Row("c3", "cifar100", 200, (61.25, 51.50, 57.38, 57.5, 63.20), GPU),
    "wresnet16_4": Row(
        "wresnet16_4",
        "cifar100",
        200,
        (73.70, 68.15, 69.05, 71.20, 73.57),
        GPU,
    ),
    "alexnet": Row(
        "alexnet",
        "imagenet2012",
        30,
        (57.10, 41.23, 53.25, 54.92, 59.5),
        GPU,
    ),
}
SIZES = (
    "Neither paper nor poster says the batches of this row; 128 and 4096 are "
    "the paper's elsewhere. The poster's number is the best epoch on the test "
    "set; ours is the last."
)


def experiments():
    """Return the table, row by row, and the runs of the script."""
    for name, row in ROWS.items():
        for column, accuracy in zip(COLUMNS, row.accuracies, strict=True):
            yield _experiment(
                f"{name}_{column}",
                row,
                COLUMNS[column],
                flags_of_column(
                    column, SMALL if column == "sb" else LARGE, GHOST
                ),
                accuracy,
                "poster, table of validation accuracies",
                SIZES,
            )
    yield from _as_published()
    row = ROWS["alexnet"]
    for column, accuracy in (("gbn", 53.93), ("ra", 59.5)):
        yield _experiment(
            f"alexnet_8192_{column}",
            row,
            COLUMNS[column],
            flags_of_column(column, 8192, 512),
            accuracy,
            "poster, table of validation accuracies, batch 8192",
            "The poster prints for its batch of 8192 the same two other "
            "numbers as for 4096.",
        )
    yield from _script()


def _as_published():
    """Yield the row of F1 with what the corrected runs leave out."""
    row = ROWS["f1"]._replace(model="f1(gamma='uniform')")
    for column, accuracy in zip(COLUMNS, row.accuracies, strict=True):
        batch = SMALL if column == "sb" else LARGE
        levers = flags_of_column(column, batch, GHOST, published=True)
        yield _experiment(
            f"f1_{column}_published",
            row,
            f"{COLUMNS[column]}, as published",
            {**levers, "augmentation": "published('big_batch')"},
            accuracy,
            "poster, table of validation accuracies",
            f"Digits are mirrored, momentum is zero at every epoch, scales of "
            f"normalizations begin in [0, 1), ghosts as in the code. {SIZES}",
        )


def _script():
    """Yield the lines of run_experiments.sh, corrected."""
    long = ROWS["resnet44"]
    wide = ROWS["wresnet16_4"]
    runs = (
        (long, "lb", 2048, None),
        (long, "lr", 2048, None),
        (long, "lr_ra", 2048, None),
        (long, "gbn", 2048, 256),
        (wide, "lr_ra", 1024, None),
        (ROWS["f1"], "lb", 2048, None),
        (ROWS["f1"], "lr", 2048, None),
        (ROWS["f1"], "gbn", 4096, 128),
        (ROWS["c3"], "gbn", 4096, 128),
        (ROWS["c1"], "gbn", 4096, 128),
    )
    notes = {
        1: "Stops at epoch 100 in the source, before two of three decays.",
        5: "The source trains ResNet44 under this name.",
    }
    for number, (row, column, batch, ghost) in enumerate(runs, start=1):
        # Without ghosts the source refers to a batch of 256.
        reference = 256 if ghost in (None, 256) else ghost
        flags = flags_of_column(column, batch, ghost, reference)
        note = notes.get(1 if number < 5 else number, "")
        yield _experiment(
            f"script_{number:02}_{row.model}_{column}",
            row,
            f"line {number} of the script, batch {batch}",
            flags,
            None,
            f"run_experiments.sh, line {number}",
            note,
        )


def flags_of_column(column, batch, ghost, reference=SMALL, published=False):
    """Return the flags of a column; each has those of the ones before.

    Args:
        column: String, a key of `COLUMNS`.
        batch: Integer, examples of a batch.
        ghost: Integer, examples of a ghost batch.
        reference: Integer, the batch size that the learning rate is for.
        published: Boolean, whether momentum is lost and ghosts are cut as in
            the published code.
    """
    flags = {"batch_size": batch}
    if column not in ("sb", "lb"):
        flags["learning_rate_scaling"] = "sqrt"
        flags["reference_batch_size"] = reference
    if column in ("gbn", "ra"):
        flags["normalization"] = f"ghost(size={ghost})"
        if published:
            flags["normalization"] = (
                f"ghost(size={ghost}, remainder='torch_chunk', "
                f"batch_size={batch}, unbiased_variance=True)"
            )
    if column in ("ra", "lr_ra"):
        flags["regime_adaptation"] = True
    if published:
        flags["momentum_reset"] = "epoch"
    return flags


def _experiment(name, row, title, levers, expected, table, note):
    return Experiment(
        name=f"big_batch/{name}",
        title=f"{row.model} on {row.dataset}: {title}",
        paper=PAPER,
        table=table,
        flags={
            "dataset": row.dataset,
            "model": row.model,
            "epochs": row.epochs,
            "augmentation": "corrected('big_batch')",
            "validation_fraction": 0,
            "regime": "model",
            "global_clipnorm": 5,
            # The columns of the source's results.csv.
            "evaluate_test": True,
            "weight_distance": 20,
            "sparsity": 0,
            "reallocation": "static",
            **levers,
        },
        expected=expected,
        time="minutes to hours on two CPU cores"
        if row.status == RUNS
        else "not measured",
        status=row.status,
        note=note,
    )
