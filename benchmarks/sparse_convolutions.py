"""What bounds training of WRN-28-2 on kernels that store active weights only.

Measures the three products of its 3x3 convolutions by the kernels of CSR
training, on the padded layout of the engine (channels outermost, images
innermost, a column of zeros between rows): forward, gradients of the inputs,
gradients of the active weights. Beside them, what a step takes that these
do not replace: the masked step, less the same three products of TensorFlow.

    python -m benchmarks.sparse_convolutions
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import concurrent.futures  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from functools import partial  # noqa: E402

import keras  # noqa: E402
import numba  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from cb.kernels.csr_vectors import dots_8  # noqa: E402
from cb.kernels.csr_vectors import sums_8  # noqa: E402
from cb.kernels.threads import threads  # noqa: E402
from cb.kernels.tiles import aligned  # noqa: E402

BATCH = flags.DEFINE_integer("batch", 32, "Examples in a batch.")
DENSITIES = flags.DEFINE_list("densities", ["0.1", "0.05", "0.02"], "Of all.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Times that all is measured.")
# Size of images, inputs, outputs, stride, how often.
SHAPES = (
    (32, 16, 32, 1, 1),
    (32, 32, 32, 1, 7),
    (32, 32, 64, 2, 1),
    (16, 64, 64, 1, 7),
    (16, 64, 128, 2, 1),
    (8, 128, 128, 1, 7),
)
_COLUMNS = 128


@numba.njit(nogil=True)
def multiply(first, last, source, rows, offsets, weights, starts, target):
    """Compute blocks of positions of a convolution, all channels of each."""
    width = target.shape[1]
    begin, found = source.ctypes.data, target.ctypes.data
    index, weight = offsets.ctypes.data, weights.ctypes.data
    for column in range(first, last, _COLUMNS):
        for row in range(rows):
            sums_8(
                (
                    begin + 4 * column,
                    4,
                    index,
                    weight,
                    np.int64(starts[row]),
                    np.int64(starts[row + 1]),
                    np.float32(0),
                    found + 4 * (row * width + column),
                    0,
                )
            )


@numba.njit(nogil=True)
def differentiate(first, last, source, rows, offsets, found, starts, errors):
    """Add to the gradients of active weights from blocks of positions."""
    found[:] = 0
    width = errors.shape[1]
    begin, error = source.ctypes.data, errors.ctypes.data
    index, gradient = offsets.ctypes.data, found.ctypes.data
    for column in range(first, last, _COLUMNS):
        for row in range(rows):
            dots_8(
                (
                    begin + 4 * column,
                    4,
                    index,
                    np.int64(starts[row]),
                    np.int64(starts[row + 1]),
                    error + 4 * (row * width + column),
                    gradient,
                    0,
                )
            )


def shared(work, blocks):
    """Let threads work on shares of the blocks of positions."""
    edges = [blocks * n // threads() * _COLUMNS for n in range(threads() + 1)]
    with concurrent.futures.ThreadPoolExecutor(threads()) as pool:
        pairs = zip(edges[:-1], edges[1:], strict=True)
        start = time.perf_counter()
        list(pool.map(lambda pair: work(*pair), pairs))
        return time.perf_counter() - start


def _multiplied(given, first, last):
    multiply(first, last, *given)


def _differentiated(number, given, others, first, last):
    found = np.empty(number, np.float32)
    differentiate(first, last, *given, found, *others)


def sparse_seconds(size, inputs, outputs, density):
    """Return the seconds of the three products on active weights."""
    random = np.random.default_rng(0)
    pitch = (size + 1) * BATCH.value
    plane = -(-(size + 1) * pitch // _COLUMNS) * _COLUMNS
    seconds = 0.0
    # The gradients of the inputs are the same product, transposed.
    for rows, channels in ((outputs, inputs), (inputs, outputs)):
        source = aligned((channels + 2, plane))
        target = aligned((rows, plane))
        source[:], target[:] = 1, 1
        number = round(density * rows * channels * 9)
        chosen = np.sort(
            random.choice(rows * channels * 9, number, replace=False)
        )
        taps = chosen % 9
        offsets = chosen // 9 % channels * plane
        offsets = offsets + taps // 3 * pitch + taps % 3 * BATCH.value
        edges = np.arange(rows + 1) * channels * 9
        starts = np.searchsorted(chosen, edges).astype(np.int32)
        offsets = offsets.astype(np.int32)
        weights = np.ones(number, np.float32)
        given = (source, rows, offsets)
        given, blocks = (source, rows, offsets), plane // _COLUMNS
        seconds += shared(
            partial(_multiplied, (*given, weights, starts, target)), blocks
        )
        if rows == outputs:
            seconds += shared(
                partial(_differentiated, number, given, (starts, target)),
                blocks,
            )
    return seconds


def dense_seconds(size, inputs, outputs, stride):
    """Return the seconds of the three products of TensorFlow."""
    x = tf.random.normal((BATCH.value, size, size, inputs))
    kernel = tf.random.normal((3, 3, inputs, outputs))

    @tf.function
    def products(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.nn.conv2d(x, kernel, stride, "SAME")
        return tape.gradient(y, [x, kernel], output_gradients=y)

    return fastest(lambda: products(x, kernel))


def layout_seconds(size, channels):
    """Return the seconds of a change to the padded layout and of one back."""
    x = tf.random.normal((BATCH.value, size, size, channels))

    @tf.function
    def change(x):
        return tf.pad(
            tf.transpose(x, [3, 1, 2, 0]), [[0, 0], [1, 1], [0, 1], [0, 0]]
        )

    @tf.function
    def change_back(x):
        return tf.transpose(x[:, 1:-1, :-1], [3, 1, 2, 0])

    padded = change(x)
    return fastest(lambda: change(x)) + fastest(lambda: change_back(padded))


def fastest(function):
    """Return the seconds of the fastest of some calls."""
    function()
    found = []
    for _ in range(ROUNDS.value):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


def masked_seconds():
    """Return the seconds of a masked training step."""
    model = cb.models.build("wide_resnet(depth=28, width=2)", (32, 32, 3), 10)
    model = cb.sparsify(model, 0.9)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x = np.random.default_rng(0).random((BATCH.value, 32, 32, 3), np.float32)
    y = np.zeros(BATCH.value, np.int32)
    data = tf.data.Dataset.from_tensors((x, y)).repeat()
    model.fit(data, steps_per_epoch=3, verbose=0)
    step, batches = model.train_function, iter(data)
    return fastest(lambda: step(batches))


def main(arguments):
    """Print the table."""
    del arguments
    step = masked_seconds()
    dense = layouts = 0.0
    for size, inputs, outputs, stride, times in SHAPES:
        dense += times * dense_seconds(size, inputs, outputs, stride)
        # There and back, forward and backward.
        layouts += times * 2 * layout_seconds(size, inputs)
    rest = step - dense
    print(
        f"masked step {1e3 * step:.1f} ms, of it 3x3 convolutions "
        f"{1e3 * dense:.1f}, the rest {1e3 * rest:.1f}; changes of layout "
        f"around each convolution {1e3 * layouts:.1f}"
    )
    print("| density | products, ms | masked / sparse at most | with changes |")
    print("|---" * 4 + "|")
    for density in map(float, DENSITIES.value):
        products = 0.0
        for size, inputs, outputs, stride, times in SHAPES:
            # A stride of two takes one position in four.
            size = size // stride
            products += times * statistics.median(
                sparse_seconds(size, inputs, outputs, density)
                for _ in range(ROUNDS.value)
            )
        print(
            f"| {density} | {1e3 * products:.1f} "
            f"| {step / (rest + products):.2f} "
            f"| {step / (rest + products + layouts):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
