"""Times a training step with ghosts against its two alternatives.

Run `python -m benchmarks.ghost_batch_norm`. Rows are a model, columns the
median time of a step with `BatchNormalization`, and ratios to it of a step
with `GhostBatchNormalization` and of a loop over chunks that accumulates
gradients: by the clock, and by processor time, which other work on the
machine hardly changes. Steps are interleaved, so that a slower machine slows
all three.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from cb.layers import GhostBatchNormalization

ROUNDS = 15


def f1(normalization):
    """Build the perceptron of the paper, five hidden layers of 512."""
    layers = [keras.Input((784,))]
    for _ in range(5):
        layers += [
            keras.layers.Dense(512),
            normalization(),
            keras.layers.ReLU(),
        ]
    return keras.Sequential([*layers, keras.layers.Dense(10)])


def convolutions(normalization):
    """Build four convolutions on images of 32x32."""
    layers = [keras.Input((32, 32, 3))]
    for width, strides in ((16, 1), (32, 2), (32, 1), (64, 2)):
        layers += [
            keras.layers.Conv2D(width, 3, strides, "same", use_bias=False),
            normalization(),
            keras.layers.ReLU(),
        ]
    pool = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([*layers, pool, keras.layers.Dense(10)])


def step_function(model, chunks, jit_compile, batch_shape):
    """Return a compiled step; with more than one chunk it accumulates."""
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Like `fit`, which does not know the size of a batch when it traces.
    signature = [
        tf.TensorSpec((None, *batch_shape)),
        tf.TensorSpec((None,), tf.int32),
    ]

    @tf.function(jit_compile=jit_compile, input_signature=signature)
    def step(x, y):
        size = tf.shape(x)[0] // chunks
        total = None
        for chunk in range(chunks):
            part = slice(chunk * size, (chunk + 1) * size)
            with tf.GradientTape() as tape:
                value = loss(y[part], model(x[part], training=True))
            found = tape.gradient(
                value, [v.value for v in model.trainable_variables]
            )
            if total is None:
                total = found
            else:
                total = [a + b for a, b in zip(total, found, strict=True)]
        gradients = [gradient / chunks for gradient in total]
        optimizer.apply(gradients, model.trainable_variables)
        return value

    return step


def compare(build, batch, size, jit_compile):
    """Return the median seconds of the three steps, by two clocks."""
    shape = build(keras.layers.BatchNormalization).input_shape[1:]
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(batch, *shape)), tf.float32)
    y = tf.constant(rng.integers(0, 10, batch), tf.int32)
    cases = (
        (keras.layers.BatchNormalization, 1),
        (lambda: GhostBatchNormalization(size), 1),
        (keras.layers.BatchNormalization, batch // size),
    )
    steps = [
        step_function(build(norm), chunks, jit_compile, shape)
        for norm, chunks in cases
    ]
    clocks = (time.perf_counter, time.process_time)
    times: list[list[tuple]] = [[] for _ in steps]
    for number in range(ROUNDS + 2):
        for step, taken in zip(steps, times, strict=True):
            before = [clock() for clock in clocks]
            step(x, y).numpy()
            after = [clock() for clock in clocks]
            if number >= 2:
                taken.append(tuple(np.subtract(after, before)))
    return np.median(times, axis=1)


def main():
    """Print a table of milliseconds and ratios."""
    print(
        "| model | batch | ghost | compiled | batch norm | ghosts | chunks "
        "| ghosts, processor | chunks, processor |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for build, batch, size in (
        (f1, 4096, 128),
        (convolutions, 256, 64),
    ):
        for jit_compile in (True, False):
            plain, ghosts, chunks = compare(build, batch, size, jit_compile)
            ratios = np.array([ghosts / plain, chunks / plain])
            cells = " | ".join(f"{ratio:.2f}" for ratio in ratios.T.ravel())
            print(
                f"| {build.__name__} | {batch} | {size} | {jit_compile} | "
                f"{plain[0] * 1e3:.1f} ms | {cells} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
