"""RigL: the structure that training leaves in LeNet-300-100."""

from experiments.catalogue import RUNS
from experiments.catalogue import Experiment

PAPER = "Evci et al., 2020, https://arxiv.org/abs/1911.11134"


def experiments():
    """Return the run of table 2."""
    yield Experiment(
        name="rigl/lenet_300_100_structure",
        title="RigL, LeNet-300-100, 99 and 89.1 % sparse",
        paper=PAPER,
        table="table 2 of the paper; rigl/mnist/mnist_train_eval.py",
        flags={
            "dataset": "mnist",
            "validation_fraction": 0,
            "augmentation": "none",
            "model": "lenet_300_100(kernel_initializer='glorot_uniform')",
            "batch_size": 100,
            "epochs": 200,
            # Half the square of the kernels in the loss, 1e-4 times.
            "optimizer": "published_sgd(momentum=0.9, nesterov=True, "
            "weight_decay=0.0001, exclude_from_decay=('bias',))",
            "learning_rate": 0.2,
            "learning_rate_schedule": "piecewise(factors={0: 1.0, "
            "75: 0.33333333, 95: 0.11111111})",
            # Relative to the first layer, 0.9 in the second, 0 in the last.
            "sparsity": "hidden_1=0.99,hidden_2=0.891",
            "distribution": "uniform",
            "rounding": "up",
            # The first event comes before the first update, as in the source.
            "reallocation": "rigl(drop_fraction=0.3, every=100, end=50001, "
            "offset=1, gradients='running')",
        },
        expected=98.52,
        time="minutes on two CPU cores",
        status=RUNS,
        note="The structure counts input pixels, then units: 408-100-69.",
    )
