"""A training step on CSR kernels against the masked step, for wide MLPs.

Three hidden layers of one width at a high sparsity, SGD with momentum. The
sparse step keeps values of active weights only: products forward and backward
and the gradient of each active weight are Numba kernels over columns of
examples. Both take turns, and must have the same loss in the end.

    python -m benchmarks.sparse_training --widths=1000,2000 --sparsity=0.98
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import concurrent.futures  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402

import keras  # noqa: E402
import numba  # noqa: E402
import numpy as np  # noqa: E402
import scipy.sparse  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from cb.layers.masked import masked_kernels  # noqa: E402

WIDTHS = flags.DEFINE_list("widths", ["1000", "2000", "4000"], "Of layers.")
FEATURES = flags.DEFINE_integer("features", 28, "28: HIGGS, 8: Electricity.")
SPARSITY = flags.DEFINE_float("sparsity", 0.98, "Of all kernels but the last.")
STEPS = flags.DEFINE_integer("steps", 20, "Steps of each kind.")
# A constant of the kernels.
BATCH = 128
RATE, MOMENTUM = np.float32(0.01), np.float32(0.9)
THREADS = len(os.sched_getaffinity(0))
_COMPILED = {
    "nogil": True,
    "cache": True,
    "fastmath": {"reassoc", "contract", "nsz"},
}


@numba.njit(**_COMPILED)
def multiply(first, last, starts, indices, order, values, x, y):
    """Add to rows of `y` the products of sparse rows with `x`."""
    for row in range(first, last):
        target = y[row]
        for k in range(starts[row], starts[row + 1]):
            value, source = values[order[k]], x[indices[k]]
            for j in range(BATCH):
                target[j] += value * source[j]


@numba.njit(**_COMPILED)
def update(first, last, starts, indices, values, velocity, x, dy):
    """Move the active weights of some rows by their gradients."""
    for row in range(first, last):
        error = dy[row]
        for k in range(starts[row], starts[row + 1]):
            source = x[indices[k]]
            gradient = np.float32(0)
            for j in range(BATCH):
                gradient += error[j] * source[j]
            velocity[k] = MOMENTUM * velocity[k] - RATE * gradient
            values[k] += velocity[k]


class SparseLayer:
    """The active weights of a layer, by outputs and by inputs."""

    def __init__(self, kernel, bias, pool):
        self.pool = pool
        matrix = scipy.sparse.csr_array(kernel.T)
        self.starts, self.indices = matrix.indptr, matrix.indices
        self.values = matrix.data.copy()
        self.velocity = np.zeros_like(self.values)
        self.bias = bias[:, None].copy()
        self.bias_velocity = np.zeros_like(self.bias)
        self.order = np.arange(len(self.values), dtype="int32")
        numbered = scipy.sparse.csr_array(
            (self.order + 1, matrix.indices, matrix.indptr), matrix.shape
        )
        turned = scipy.sparse.csr_array(numbered.T)
        self.back = (
            turned.indptr,
            turned.indices,
            (turned.data - 1).astype("int32"),
        )

    def share(self, function, rows, *arguments):
        """Let threads share the rows of a kernel."""
        edges = np.linspace(0, rows, THREADS + 1).astype(int)
        futures = [
            self.pool.submit(function, first, last, *arguments)
            for first, last in zip(edges, edges[1:], strict=False)
        ]
        for future in futures:
            future.result()

    def forward(self, x):
        """Return the outputs before the activation."""
        self.x = x
        y = np.repeat(self.bias, BATCH, axis=1)
        csr = (self.starts, self.indices, self.order, self.values)
        self.share(multiply, len(y), *csr, x, y)
        return y

    def backward(self, dy, first):
        """Return the gradient of the inputs and move the weights."""
        dx = None
        if not first:
            dx = np.zeros_like(self.x)
            self.share(multiply, len(dx), *self.back, self.values, dy, dx)
        csr = (self.starts, self.indices, self.values, self.velocity)
        self.share(update, len(dy), *csr, self.x, dy)
        self.bias_velocity *= MOMENTUM
        self.bias_velocity -= RATE * dy.sum(axis=1, keepdims=True)
        self.bias += self.bias_velocity
        return dx


class SparseStep:
    """Trains a perceptron with one hidden activation, ReLU."""

    def __init__(self, model):
        pool = concurrent.futures.ThreadPoolExecutor(THREADS)
        self.layers = [
            SparseLayer(layer.kernel.numpy(), layer.bias.numpy(), pool)
            for layer in cb.strip(model).layers
        ]

    def __call__(self, x, labels):
        """Make one step and return the loss before it."""
        y = np.ascontiguousarray(x.T)
        hidden = []
        for layer in self.layers:
            y = layer.forward(y)
            if layer is not self.layers[-1]:
                np.maximum(y, 0, out=y)
                hidden.append(y)
        exponents = np.exp(y - y.max(axis=0))
        probabilities = exponents / exponents.sum(axis=0)
        rows = (labels, np.arange(BATCH))
        loss = -np.log(probabilities[rows]).mean()
        probabilities[rows] -= 1
        dy = probabilities / np.float32(BATCH)
        for number in reversed(range(len(self.layers))):
            dy = self.layers[number].backward(dy, first=number == 0)
            if number:
                dy *= hidden[number - 1] > 0
        return loss


def masked_model(width):
    """Build the model that `cb` trains by masks."""
    model = keras.Sequential([keras.Input((FEATURES.value,))])
    for _ in range(3):
        model.add(keras.layers.Dense(width, "relu"))
    model.add(keras.layers.Dense(2))
    model = cb.sparsify(model, SPARSITY.value, "uniform", last_dense=True)
    model.compile(
        keras.optimizers.SGD(float(RATE), momentum=float(MOMENTUM)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def timed(function, *arguments):
    """Return the seconds of a call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main(arguments):
    """Compare for each width."""
    del arguments
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH, FEATURES.value)).astype("float32")
    labels = random.integers(0, 2, BATCH)
    print("| width | active | masked, ms | sparse, ms | masked / sparse |")
    print("|---" * 5 + "|")
    for width in map(int, WIDTHS.value):
        model = masked_model(width)
        sparse = SparseStep(model)
        times = []
        for _ in range(STEPS.value + 3):
            first = timed(model.train_on_batch, x, labels)
            second = timed(sparse, x, labels)
            times.append((first, second))
        loss = model.evaluate(x, labels, verbose=0, batch_size=BATCH)
        difference = abs(loss - sparse(x, labels))
        if difference > 1e-3:
            raise SystemExit(f"The losses differ by {difference}.")
        times = times[3:]
        masked, own = (
            statistics.median(column) for column in zip(*times, strict=True)
        )
        active = sum(
            np.count_nonzero(kernel.mask.numpy())
            for kernel in masked_kernels(model)
        )
        ratio = statistics.median(a / b for a, b in times)
        print(
            f"| {width} | {active:,} | {1e3 * masked:.2f} | {1e3 * own:.2f} "
            f"| {ratio:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
