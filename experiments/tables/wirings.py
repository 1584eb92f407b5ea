"""Discovering neural wirings: ResNet-50 at all densities, and small graphs."""

from experiments.catalogue import GPU
from experiments.catalogue import Experiment

PAPER = "Wortsman et al., 2019, https://arxiv.org/abs/1906.00586"
# By the percentage of weights kept: all layers sparse, first layer dense.
TOP_1 = {
    10: (74.026, 75.044),
    20: (76.158, 76.600),
    30: (76.904, 77.076),
    40: (77.290, 77.456),
    50: (77.528, 77.570),
    60: (77.536, 77.564),
    70: (77.604, 77.492),
    80: (77.610, 77.284),
    90: (77.488, 77.382),
}
TIME = "2 days on four GPUs, by the source"
# Mean and spread of the source, and the part of weights that are no edges.
GRAPHS = {
    "static": (76.1, 80.9, 0.8792270531400966),
    "discrete": (77.3, 82.3, 0.95),
    "continuous": (78.5, 83.1, 0.95),
}
SPREADS = {
    "static": (0.5, 0.6),
    "discrete": (0.7, 0.6),
    "continuous": (1.2, 0.3),
}
STEPS = "not measured; 98 steps of batch 512 an epoch, 160 epochs"


def experiments():
    """Return the dense run, the 18 configurations and the small graphs."""
    yield _resnet("dense", "ResNet-50, dense", 0, 77.510)
    for place, kind in enumerate(("allsparse", "ignorefirst")):
        for kept, accuracies in TOP_1.items():
            yield _resnet(
                f"{kind}{kept}",
                f"ResNet-50, {kept} % of the weights kept, "
                f"{'first layer dense' if place else 'all layers sparse'}",
                round(1 - kept / 100, 2),
                accuracies[place],
                f"(config='{kind}{kept}')",
            )
    for graph, (random, discovered, sparsity) in GRAPHS.items():
        rules = {
            "random": ("static", random),
            "discovered": (
                f"discover_wirings(sparsity={sparsity})",
                discovered,
            ),
        }
        for place, (name, (rule, accuracy)) in enumerate(rules.items()):
            yield _graph(
                f"graph_{graph}_{name}",
                f"Graph of 41,458 parameters, {graph}, {name} edges",
                graph,
                sparsity,
                rule,
                accuracy,
                SPREADS[graph][place],
            )


def _resnet(name, title, sparsity, expected, config=""):
    reallocation = f"discover_wirings(sparsity={sparsity})"
    return Experiment(
        name=f"wirings/{name}",
        title=title,
        paper=PAPER,
        table="README of imagenet_sparsity_experiments, one run each",
        flags={
            "dataset": "imagenet2012",
            "model": f"resnet50{config}",
            "sparsity": sparsity,
            "distribution": "uniform",
            "rounding": "up",
            "reallocation": reallocation if sparsity else "static",
            "augmentation": "published('wirings')",
            "validation_fraction": 0,
            "batch_size": 256,
            "epochs": 100,
            "regime": "model",
            "label_smoothing": 0.1,
        },
        expected=expected,
        time=TIME,
        status=GPU,
        note="Two runs of the source differ by about 0.2."
        if name == "ignorefirst10"
        else "",
    )


def _graph(name, title, graph, sparsity, reallocation, expected, deviation):
    return Experiment(
        name=f"wirings/{name}",
        title=title,
        paper=PAPER,
        table="README of dnw, small scale, CIFAR-10",
        flags={
            "dataset": "cifar10",
            "model": f"wiring_graph(graph='{graph}')",
            "sparsity": sparsity,
            "distribution": "uniform",
            "rounding": "up",
            "reallocation": reallocation,
            "augmentation": "published('wirings')",
            "validation_fraction": 0,
            "batch_size": 512,
            "epochs": 160,
            "regime": "model",
        },
        expected=expected,
        deviation=deviation,
        time=STEPS,
        status=GPU,
    )
