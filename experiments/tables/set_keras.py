"""SET: the authors' own experiment in Keras, a perceptron on CIFAR-10."""

from experiments.catalogue import RUNS
from experiments.catalogue import Experiment

PAPER = "Mocanu et al., 2018, https://arxiv.org/abs/1707.04780"
SIZES = ((3072, 4000), (4000, 1000), (1000, 4000))
EPSILON, STEPS = 20, 500
WEIGHTS = sum(rows * columns for rows, columns in SIZES)
KEPT = EPSILON * sum(rows + columns for rows, columns in SIZES)
SPARSE = {
    "sparsity": round(1 - KEPT / WEIGHTS, 8),
    "distribution": "erdos_renyi",
    "exclude": "logits",
    "kernels": "csr",
}
# Test accuracy after 50 and 100 of 1,000 epochs, in percent.
PUBLISHED = {
    "set": (57.12, 60.76),
    "static": (55.74, 59.94),
    "dense": (60.28, 63.77),
}
# After each epoch and its score, by sign.
RULE = (
    "set(drop_fraction=0.3, decay='constant', rule='sign', every='1ep', "
    "start='1ep', end=1.0, offset=1)"
)
RUNS_OF = {
    "set": ({**SPARSE, "reallocation": RULE}, "SET"),
    "static": (
        {**SPARSE, "reallocation": "static"},
        "Static random connections",
    ),
    "dense": ({"sparsity": 0, "reallocation": "static"}, "Dense"),
}


def experiments():
    """Return SET, static and dense networks, to epoch 100."""
    for name, (flags, title) in RUNS_OF.items():
        # Only with SET does the source make its optimizer anew every epoch.
        reset = f", momentum_reset={STEPS}" if name == "set" else ""
        yield Experiment(
            name=f"set_keras/cifar10_{name}",
            title=f"{title}, 4000-1000-4000 on CIFAR-10",
            paper=PAPER,
            table="SET-MLP-Keras-Weights-Mask/results of dcmocanu/"
            "sparse-evolutionary-artificial-neural-networks",
            flags={
                "dataset": "cifar10",
                "validation_fraction": 0,
                "augmentation": "standardize(each='pixel')|rotation(10)|"
                "translation(0.1, mode='nearest')|flip",
                "model": "mlp(units=(4000, 1000, 4000), activation='srelu', "
                "dropout=0.3)",
                "batch_size": 100,
                "epochs": 100,
                "optimizer": f"published_sgd(momentum=0.9{reset})",
                "learning_rate": 0.01,
                "learning_rate_schedule": "constant",
                "evaluate_test": True,
                **flags,
            },
            expected=PUBLISHED[name][-1],
            time="half an hour on one CPU core, dense an hour and more",
            status=RUNS,
            note="The published runs are 1,000 epochs long.",
        )
