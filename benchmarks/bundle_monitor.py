"""Time one check of all layers against an epoch of the 50-layer VGG.

    python -m benchmarks.bundle_monitor

The epoch of CIFAR-10 is extrapolated from 20 training steps of 64 images;
the check takes 512 images. The first check also traces the model.
"""

import os
import statistics
import time

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import cb

BATCH, STEPS, WARM_UP = 64, 20, 3
STEPS_PER_EPOCH = 50_000 // BATCH
NUM_SAMPLES, CHECKS = 512, 3


def seconds(function, *arguments, **keywords):
    """Return how long a call takes."""
    start = time.perf_counter()
    function(*arguments, **keywords)
    return time.perf_counter() - start


def main():
    """Print one line of a table for each amplitude."""
    random = np.random.default_rng(0)
    x = random.normal(size=(STEPS * BATCH, 32, 32, 3)).astype(np.float32)
    y = random.integers(0, 10, len(x))
    model = cb.models.build("bundle_vgg(depth=50)", (32, 32, 3), 10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss)

    def fit(batches):
        part = slice(0, batches * BATCH)
        model.fit(x[part], y[part], BATCH, verbose=0, shuffle=False)

    fit(WARM_UP)
    step = seconds(fit, STEPS) / STEPS
    epoch = step * STEPS_PER_EPOCH
    print("| amplitude | step | epoch | first check | check | part |")
    print("|---|---|---|---|---|---|")
    for amplitude in ("layer", "model"):
        monitor = cb.callbacks.BundleMonitor(
            (x, y), BATCH, num_samples=NUM_SAMPLES, amplitude=amplitude
        )
        monitor.set_model(model)
        first = seconds(monitor.on_train_begin) + seconds(monitor.check)
        check = statistics.median(seconds(monitor.check) for _ in range(CHECKS))
        print(
            f"| {amplitude} | {step:.2f} s | {epoch:.0f} s | {first:.1f} s "
            f"| {check:.2f} s | {100 * check / epoch:.2f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
