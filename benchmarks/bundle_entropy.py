"""Time the bundle entropy against the published loop.

    python -m benchmarks.bundle_entropy

The direct loop compares every example with the first of every bundle, as
the published code does: one eager comparison of the whole matrix for each
bundle. All examples are distinct, as in healthy layers, where that loop is
slowest. Both are timed in turn, the short one nine times
for each run of the long one; medians.
"""

import os
import statistics
import time

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from cb.metrics import bundle_entropy

STEP = {"learning_rate": 1e-3, "batch_size": 64}
NUM_CLASSES = 10
SIZES = ((512, 50), (512, 4096), (2048, 4096))
REPEATS = 3
GROWTH = (3750, 7500, 15000, 30000, 60000)
GROWTH_WIDTH = 256


def direct(activations, labels, amplitude):
    """Partition by the greedy loop and return count and entropy."""
    factor = np.float32(1.0 / STEP["batch_size"])
    steps = activations * np.float32(STEP["learning_rate"]) * factor
    weights = amplitude - steps
    number, width = weights.shape
    ids = np.zeros(number, np.int64)
    total = 0.0
    for example in range(number):
        if ids[example]:
            continue
        equal = tf.cast(tf.equal(weights, weights[example]), tf.float32)
        same = (tf.reduce_sum(equal, axis=1) >= width).numpy() & (ids == 0)
        ids[same] = ids.max() + 1
        counts = np.bincount(labels[same], minlength=NUM_CLASSES)
        p = counts / counts.sum()
        mixed = -np.sum(p * np.log(p + 1e-5))
        total += max(0.0, mixed) * counts.sum()
    return ids.max(), total / number


def ours(activations, labels, amplitude):
    """Do the same with the library."""
    _, count, entropy = bundle_entropy(
        activations, labels, **STEP, amplitude=amplitude, num_classes=10
    )
    return int(count), float(entropy)


def seconds(function, *arguments):
    """Return how long a call takes, and its result."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def examples(number, width):
    """Return activations with distinct rows, and labels."""
    random = np.random.default_rng(0)
    activations = tf.constant(
        random.uniform(0.0, 4.0, (number, width)).astype(np.float32)
    )
    return activations, random.integers(0, NUM_CLASSES, number)


def compare(number, width):
    """Print one line of the comparison."""
    arguments = (*examples(number, width), 1.0)
    ours(*arguments)
    times: dict = {direct: [], ours: []}
    for function in (direct, *[ours] * 9) * REPEATS:
        duration, result = seconds(function, *arguments)
        times[function].append(duration)
        if function is direct:
            expected = result
        elif not np.allclose(result, expected, atol=1e-6):
            raise SystemExit(f"The results differ: {result}, {expected}")
    slow, fast = (statistics.median(values) for values in times.values())
    print(
        f"| {number} x {width} | {result[0]} | {slow:.2f} s "
        f"| {fast * 1e3:.1f} ms | {slow / fast:.0f} |",
        flush=True,
    )


def growth():
    """Print how the time of the library grows with the examples."""
    for number in GROWTH:
        arguments = (*examples(number, GROWTH_WIDTH), 1.0)
        ours(*arguments)
        fast = statistics.median(seconds(ours, *arguments)[0] for _ in range(7))
        print(
            f"| {number} x {GROWTH_WIDTH} | {fast * 1e3:.1f} ms "
            f"| {fast / number * 1e6:.2f} us |",
            flush=True,
        )


def main():
    """Print both tables."""
    print("| examples x width | bundles | direct | ours | ratio |")
    print("|---|---|---|---|---|")
    for size in SIZES:
        compare(*size)
    print("\n| examples x width | ours | per example |")
    print("|---|---|---|")
    growth()


if __name__ == "__main__":
    main()
