"""SET's own experiment in Keras, to epoch 100."""

import functools

from experiments.published import Cell
from experiments.published import Published
from experiments.published import Table
from experiments.published import accuracies_after
from experiments.tables.set_keras import PUBLISHED
from experiments.tables.set_keras import RUNS_OF

EPOCHS = (50, 100)
# Single runs.
WITHIN = 1.5

TABLE = Table(
    name="set_keras",
    title="SET on CIFAR-10, a perceptron 4000-1000-4000",
    source="Mocanu et al., 2018 (https://arxiv.org/abs/1707.04780); "
    "`SET-MLP-Keras-Weights-Mask/results` of "
    "dcmocanu/sparse-evolutionary-artificial-neural-networks, single runs.",
    protocol="S-shaped rectifiers, dropout 0.3, batches of 100, learning rate "
    "0.01, momentum 0.9, pixels standardized one by one, rotations of 10 "
    "degrees, shifts of a tenth, mirrored; 141,440, 100,000 and 100,000 "
    "weights in three sparse kernels; 30 % of them moved after each epoch, by "
    "sign. The published runs are 1,000 epochs long, ours 100.",
    goal="Within 1.5 points after 50 and after 100 epochs, and in the same "
    "order.",
    axis="network",
    cells=tuple(
        Cell(
            experiment=f"set_keras/cifar10_{name}",
            row=RUNS_OF[name][1],
            column="4000-1000-4000",
            published={
                f"accuracy after {epoch} epochs": Published(
                    mean=mean, within=WITHIN
                )
                for epoch, mean in zip(EPOCHS, means, strict=True)
            },
        )
        for name, means in PUBLISHED.items()
    ),
    measure=functools.partial(accuracies_after, epochs=EPOCHS),
    findings="The order is that of the source, dense, SET, static, after 50 "
    "and after 100 epochs, with every seed. The largest difference of a mean "
    "is 0.9 points, of static connections after 100 epochs.",
)
