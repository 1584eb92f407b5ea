"""Lottery tickets: LeNet-300-100, pruned level by level and rewound."""

from experiments.catalogue import RUNS
from experiments.catalogue import SMALL
from experiments.catalogue import Experiment

PAPER = "Frankle and Carbin, 2019, https://arxiv.org/abs/1803.03635"
# Kernels, and what each level prunes of them.
SIZES = {"hidden_1": 784 * 300, "hidden_2": 300 * 100, "logits": 100 * 10}
PRUNED = {"hidden_1": 0.2, "hidden_2": 0.2, "logits": 0.1}
LEVELS = 15
# Levels of the tickets that are compared with masks drawn at random.
RANDOM = (9, 15)


def counts(level: int) -> dict[str, int]:
    """Return the weights of each layer that are left at a level.

    The source prunes up to and including a place in the sorted weights, and
    so one more each time.
    """
    left = dict(SIZES)
    for _ in range(level):
        for layer, number in left.items():
            left[layer] = number - (round(PRUNED[layer] * number) + 1)
    return left


def remaining(level: int) -> float:
    """Return the part of the weights that is left at a level, in percent."""
    return 100 * sum(counts(level).values()) / sum(SIZES.values())


def experiments():
    """Return the levels, each after the one before, and random masks."""
    for level in range(LEVELS + 1):
        flags = {}
        if level:
            flags = {
                "masks": "lottery_ticket",
                "initialize_from": f"runs/{name(level - 1)}:last",
            }
        yield _experiment(
            name(level),
            f"Level {level} of the tickets, {remaining(level):.1f} % left",
            level,
            flags,
            f"Train level {level - 1} before." if level else "",
        )
    for level in RANDOM:
        yield _experiment(
            random_name(level),
            f"Masks drawn at random, as many weights as at level {level}",
            level,
            {},
            "",
        )


def name(level: int) -> str:
    """Return the name of the experiment of a level."""
    return f"lottery_ticket/level_{level:02}"


def random_name(level: int) -> str:
    """Return the name of the experiment with as many random connections."""
    return f"lottery_ticket/random_{level:02}"


def _experiment(name, title, level, flags, note):
    sparsity = ",".join(
        f"{layer}={round(1 - count / SIZES[layer], 8)}"
        for layer, count in counts(level).items()
    )
    return Experiment(
        name=name,
        title=title,
        paper=PAPER,
        table="section 2 of the paper; "
        "google-research/lottery-ticket-hypothesis, mnist_fc",
        flags={
            "dataset": "mnist",
            "validation_fraction": 0,
            "augmentation": "none",
            "model": "lenet_300_100(kernel_initializer='glorot_normal')",
            "batch_size": 60,
            "epochs": 50,
            "optimizer": "adam",
            "learning_rate": 0.0012,
            "learning_rate_schedule": "constant",
            "sparsity": sparsity if level else 0,
            "distribution": "uniform",
            "rounding": "nearest",
            "reallocation": "static",
            **SMALL,
            **flags,
        },
        time="minutes on two CPU cores",
        status=RUNS,
        note=note,
    )
