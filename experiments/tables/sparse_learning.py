"""Sparse networks from scratch: MNIST, by the code's defaults."""

from experiments.catalogue import RUNS
from experiments.catalogue import SMALL
from experiments.catalogue import Experiment

PAPER = "Dettmers and Zettlemoyer, 2019, https://arxiv.org/abs/1907.04840"
CODE = "TimDettmers/sparse_learning"
SPARSITIES = (0.99, 0.98, 0.97, 0.96, 0.95, 0.9)
STEPS = 540
# The source moves connections after each epoch but the last, along a cosine
# over all steps.
LAST = 100 * STEPS - 1
# Its redistribution takes the momentum of all weights that were active.
RULES = {
    "snfs": f"snfs(every='1ep', end={LAST}, shares='active')",
    "set": f"set(drop_fraction=0.3, decay='constant', every='1ep', end={LAST})",
    "deep_rewiring": "deep_rewiring",
    "snip": "snip",
}
TITLES = {
    "snfs": "Sparse momentum",
    "set": "SET",
    "deep_rewiring": "Deep rewiring",
    "snip": "SNIP",
}
NOTES = {
    "set": "The source does not say with which hyperparameters it ran SET; "
    "these were fixed beforehand.",
    "deep_rewiring": "The source does not say with which hyperparameters it "
    "ran deep rewiring; these are the defaults, fixed beforehand.",
    "snip": "The source quotes Lee et al., 2019, with error in one digit; the "
    "training is that of the others.",
}
# Accuracy in percent and its standard error, from results/*.csv.
PUBLISHED = {
    "snfs": (
        (97.53, 0.047),
        (98.20, 0.018),
        (98.30, 0.055),
        (98.42, 0.023),
        (98.53, 0.033),
        (98.67, 0.026),
    ),
    "set": (
        (95.80, 0.045),
        (97.74, 0.071),
        (98.06, 0.034),
        (98.10, 0.037),
        (98.14, None),
        (98.39, 0.037),
    ),
    "deep_rewiring": (
        (94.0, 0.010),
        (98.21, 0.135),
        (98.22, 0.045),
        (98.30, 0.057),
        (98.06, 0.045),
        (98.19, 0.045),
    ),
    "snip": (
        (None, None),
        (97.6, None),
        (None, None),
        (None, None),
        (98.4, None),
        (None, None),
    ),
}


def experiments():
    """Return the dense run and four rules at six sparsities."""
    yield _experiment("dense", "Dense LeNet-300-100", 0, "static", 98.69, 0.011)
    for rule, numbers in PUBLISHED.items():
        for sparsity, number in zip(SPARSITIES, numbers, strict=True):
            yield _experiment(
                f"{rule}_s{round(100 * sparsity)}",
                f"{TITLES[rule]}, LeNet-300-100, {100 * sparsity:g} % sparse",
                sparsity,
                RULES[rule],
                *number,
                note=NOTES.get(rule, ""),
            )


def _experiment(name, title, sparsity, rule, expected, error, note=""):
    return Experiment(
        name=f"sparse_learning/{name}",
        title=title,
        paper=PAPER,
        table=f"results/MNIST_sparse_summary.csv of {CODE}"
        + (", and MNIST_compression_comparison" if "snip" in name else ""),
        flags={
            "dataset": "mnist",
            # 54,000 images are left; the source leaves out the last ones.
            "validation_examples": 6000,
            "augmentation": "normalize(0.1307, 0.3081)",
            "model": "lenet_300_100(biases='torch')",
            "batch_size": 100,
            "epochs": 100,
            "optimizer": "published_sgd(momentum=0.9, nesterov=True, "
            "weight_decay=0.0005)",
            "learning_rate": 0.1,
            "learning_rate_schedule": "step(at=(25000, 50000), factor=0.1)",
            "sparsity": sparsity,
            "distribution": "uniform",
            "rounding": "nearest",
            "reallocation": rule,
            **SMALL,
        },
        expected=expected,
        error=error,
        time="minutes on two CPU cores",
        status=RUNS,
        note=note,
    )
