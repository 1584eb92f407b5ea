"""RigL's table 2: the structure that training leaves in LeNet-300-100."""

from experiments.published import ACCURACY
from experiments.published import ERROR
from experiments.published import Cell
from experiments.published import Published
from experiments.published import Table
from experiments.published import last_accuracy

# Of a weight or bias; an entry of a mask takes a bit.
BYTES = 4
PUBLISHED = {
    ERROR: 1.48,
    "input pixels": 408,
    "units of the first layer": 100,
    "units of the second layer": 69,
    "thousands of operations": 12.6,
    "bytes": 31914,
}


def structure(run):
    """Return the error of a finished run, and what is left of its network.

    Args:
        run: `RunDirectory`.

    Returns:
        Dict of name to number: the error in percent, and those of `remains`.
    """
    # It imports TensorFlow.
    from cb.evaluation.opened_run import OpenedRun

    opened = OpenedRun(str(run.path))
    opened.load("last")
    error = 100 - last_accuracy(run)[ACCURACY]
    return {ERROR: error, **remains(opened.model)}


def remains(model):
    """Return what is left of a sparse perceptron, as the paper counts it.

    Args:
        model: Keras model of dense layers, masked but for the last.

    Returns:
        Dict of name to number: pixels that a weight leads from, units that
        `cb.export.compact` keeps, thousands of operations of an example, and
        bytes of the weights with a mask for each sparse kernel.
    """
    import numpy as np

    from cb.export import compact

    kernels = [
        np.asarray(layer.kernel)
        for layer in compact(model).layers
        if hasattr(layer, "kernel")
    ]
    alive = kernels[0].any(axis=1)
    kernels[0] = kernels[0][alive]
    weights = sum(int(np.count_nonzero(kernel)) for kernel in kernels)
    units = [kernel.shape[1] for kernel in kernels]
    masks = sum(kernel.size for kernel in kernels[:-1]) / 8
    return {
        "input pixels": int(np.count_nonzero(alive)),
        "units of the first layer": units[0],
        "units of the second layer": units[1],
        "thousands of operations": 2 * weights / 1000,
        "bytes": BYTES * (weights + sum(units)) + masks,
    }


TABLE = Table(
    name="rigl",
    title="The structure that RigL leaves",
    source="Evci et al., 2020 (https://arxiv.org/abs/1911.11134), table 2; the "
    "error is that of the last epoch. One run, as far as the paper says.",
    protocol="LeNet-300-100, all 60,000 images in [0, 1], 200 epochs of "
    "batches of 100, learning rate 0.2 divided by three from epochs 75 and 95, "
    "1e-4 times half the squares of the kernels in the loss; 99 % of the first "
    "kernel and 89.1 % of the second are inactive; an event every 100 steps "
    "until step 50,000. A pixel counts if a weight leads from it, a unit if "
    "`cb.export.compact` keeps it.",
    goal="408-100-69 and 1.48 %, to two standard deviations of our seeds.",
    axis="network",
    cells=(
        Cell(
            experiment="rigl/lenet_300_100_structure",
            row="RigL",
            column="LeNet-300-100",
            published={
                name: Published(mean=mean, single=True)
                for name, mean in PUBLISHED.items()
            },
        ),
    ),
    measure=structure,
    findings="The paper's numbers are input pixels, then units of the first "
    "and the second layer, as `get_compressed_fc` of its code prints them; "
    "compared with units alone, 408-100 looks like another network. Counted on "
    "our masks as that function does, the structure is the one that `compact` "
    "leaves. The gradients are those of the running batch, whose update is "
    "skipped, and the kernel of the last layer, which is dense, decays too. "
    "A program in NumPy written after the source's code had the same masks as "
    "this training over six events from one start, and weights to 5e-7. Run to "
    "its end it left 412-91-76, 404-94-78 and 394-77-74, errors of 1.60, 1.87 "
    "and 1.98 %: 403-87-76 and 1.82 ± 0.20 % in the mean, from which 1.48 % is "
    "1.7 deviations away, so it is a good run or one of other settings. "
    "Without the noise that the source adds to what is dropped it left "
    "396-94-72 and 398-99-75, 1.73 and 1.89 %. The first event comes "
    "before the first update, as in the source: without it three seeds of ours "
    "left 400-122-71 and 1.90 ± 0.11 %, and the program 402-125-76 and "
    "403-124-65, 1.84 and 1.93 %.",
)
