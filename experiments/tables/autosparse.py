"""The accuracy-efficiency trade-off: the settings of the reproduction."""

from experiments.catalogue import GPU
from experiments.catalogue import RUNS
from experiments.catalogue import Experiment

PAPER = (
    "Uncovering the Accuracy-Efficiency Trade-Off in Sparse Neural Network "
    "Training, zwouter/sparse-training-environment"
)
SPARSITY = 0.9
LEVELS = (
    *(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75),
    *(0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99),
)
# Steps between events, and the batch.
PERCEPTRONS = {
    "mnist": (420, 128),
    "fashion_mnist": (420, 128),
    "electricity": (300, 128),
    "higgs": (2563, 4096),
}
CONVOLUTIONS = ("cifar10", "svhn_cropped")
METHODS = ("dense", "set", "rigl")
TEXT = {"dense": "dense", "set": "SET", "rigl": "RigL"}


def experiments():
    """Return a dense run and the two methods for each data set."""
    for name, (every, batch) in PERCEPTRONS.items():
        levels = LEVELS if name == "electricity" else (SPARSITY,)
        for method, sparsity in (
            ("dense", 0),
            *((m, s) for m in METHODS[1:] for s in levels),
        ):
            yield _experiment(
                name,
                method,
                sparsity,
                every,
                0.8,
                {
                    "dataset": name,
                    "model": "autosparse_mlp(dropout=0.3)",
                    "batch_size": batch,
                    "epochs": 200,
                    "learning_rate": 0.01,
                    "learning_rate_schedule": "constant",
                    "optimizer": _sgd(2e-4),
                    "distribution": "uniform",
                    "rounding": "nearest",
                },
                GPU if name == "higgs" else RUNS,
            )
    for name in CONVOLUTIONS:
        for method in METHODS:
            yield _experiment(
                name,
                method,
                0 if method == "dense" else SPARSITY,
                100,
                0.75,
                {
                    "dataset": name,
                    "model": "autosparse_resnet",
                    "batch_size": 256,
                    "epochs": 135,
                    "learning_rate": 0.1,
                    "learning_rate_schedule": "cosine(final=0.0001)",
                    "optimizer": _sgd(1e-4),
                    "distribution": "erk",
                    "rounding": "nearest",
                    "label_smoothing": 0.1,
                },
                GPU,
            )


def named(dataset, method, sparsity):
    """Return the name of a run."""
    other = sparsity not in (0, SPARSITY)
    suffix = f"_s{1000 * sparsity:03.0f}" if other else ""
    return f"autosparse/{dataset}_{method}{suffix}"


def _sgd(decay):
    return f"published_sgd(momentum=0.9, weight_decay={decay})"


def _experiment(name, method, sparsity, every, end, flags, status):
    reallocation = "static"
    if method != "dense":
        reallocation = f"{method}(drop_fraction=0.1, every={every}, end={end})"
    return Experiment(
        name=named(name, method, sparsity),
        title=f"{name}, {TEXT[method]}"
        + ("" if method == "dense" else f" at {100 * sparsity:g} %"),
        paper=PAPER,
        table=f"{name}_reproduction.yaml",
        flags={
            **flags,
            "augmentation": "corrected('autosparse')",
            "validation_fraction": 0,
            "sparsity": sparsity,
            "reallocation": reallocation,
        },
        time="hours on two CPU cores" if status == RUNS else "not measured",
        status=status,
        note=f"The source runs the sparsities {' '.join(map(str, LEVELS))}. "
        "Dropout follows the activation and spares the logits, test and "
        "training parts are disjoint, and no example is left out.",
    )
