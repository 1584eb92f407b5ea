"""Conflicting bundles: run.sh, fixed depths and auto-tune."""

from experiments.catalogue import GPU
from experiments.catalogue import RUNS
from experiments.catalogue import Experiment

PAPER = "Peer et al., 2021, https://arxiv.org/abs/2011.02956"
DATASETS = ("cifar10", "svhn_cropped", "imagenette")
DEPTHS = (50, 76, 100, 120)
AS_OF_THE_PAPER = "run.sh, as of the paper (4b5abd3)"
# Folders of the source are named fnn/WIDTH/DEPTH.
PERCEPTRONS = (
    ("fnn_10_50", 50, 10, 50, AS_OF_THE_PAPER),
    ("fnn_25_50", 50, 25, 50, AS_OF_THE_PAPER),
    ("fnn_150_10", 150, 10, 2, "run.sh, first line (9c0b9b5)"),
)
AUTO_TUNE = (
    "auto_tune(rule='truncate', checks=10, num_samples=512, amplitude='model'"
)
MEASURE = (
    "Then: python evaluate.py --run_dir=runs/{name} --all_conflict_layers "
    "--published_columns; a number of checkpoints is kept for it."
)


def experiments():
    """Return the perceptrons, the deep networks and auto-tune."""
    for name, depth, width, epochs, table in PERCEPTRONS:
        yield _experiment(
            name,
            f"Perceptron of {depth} layers of width {width} on MNIST",
            "mnist",
            f"fnn(blocks=({depth},), width={width})",
            epochs,
            RUNS,
            table,
        )
    for name, depth, width, epochs, table in PERCEPTRONS[:2]:
        yield _experiment(
            f"auto_tune_{name}",
            f"Perceptron of {depth} layers of width {width} on MNIST, "
            "auto-tuned",
            "mnist",
            f"fnn(blocks=({depth},), width={width})",
            epochs,
            RUNS,
            table,
            auto_tune=f"{AUTO_TUNE})",
        )
    for dataset in DATASETS:
        for family in ("vgg", "resnet"):
            for depth in DEPTHS:
                yield _experiment(
                    f"{family}_{depth}_{dataset}",
                    f"{family} of {depth} layers on {dataset}",
                    dataset,
                    f"bundle_{family}(depth={depth})",
                    120,
                    GPU,
                )
    for dataset in DATASETS:
        yield _experiment(
            f"auto_tune_{dataset}",
            f"vgg of 120 layers on {dataset}, auto-tuned",
            dataset,
            "bundle_vgg(depth=120)",
            120,
            GPU,
            auto_tune=f"{AUTO_TUNE}, gate='pool')",
        )


def _experiment(
    name,
    title,
    dataset,
    model,
    epochs,
    status,
    table=AS_OF_THE_PAPER,
    **flags,
):
    name = f"bundles/{name}"
    return Experiment(
        name=name,
        title=title,
        paper=PAPER,
        table=table,
        flags={
            "dataset": dataset,
            "model": model,
            "batch_size": 64,
            "epochs": epochs,
            "learning_rate": 0.001,
            "learning_rate_schedule": "constant",
            "optimizer": "lookahead(optimizer='radam(weight_decay=0.01, "
            "epsilon=1e-06)')",
            "augmentation": "corrected('bundles')",
            "sparsity": 0,
            "reallocation": "static",
            "checkpoint_every": max(1, epochs // 10),
            **flags,
        },
        time="minutes on two CPU cores" if status == RUNS else "not measured",
        status=status,
        note="The published run trains one epoch less. "
        + MEASURE.format(name=name),
    )
