"""Ghost layers and inputs that several tests share."""

import keras
import numpy as np

from cb.layers import GhostBatchNormalization

MOMENTUM = 0.9
EPSILON = 1e-5


def made(size=4, **kwargs):
    kwargs = {"momentum": MOMENTUM, "epsilon": EPSILON, **kwargs}
    return GhostBatchNormalization(size, **kwargs)


def data(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * 3 + 1).astype("float32")


def cut(x, lengths):
    return np.split(x, np.cumsum(lengths)[:-1])


def normalized(ghost, gamma, beta):
    mean, variance = ghost.mean(0), ghost.var(0)
    return (ghost - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def reference(x, lengths, gamma, beta, shares):
    """Sequential updates, written ghost by ghost."""
    outputs, mean, variance = [], np.zeros(x.shape[1]), np.ones(x.shape[1])
    for ghost, share in zip(cut(x, lengths), shares, strict=True):
        outputs.append(normalized(ghost, gamma, beta))
        step = (1 - MOMENTUM) * share
        mean = (1 - step) * mean + step * ghost.mean(0)
        variance = (1 - step) * variance + step * ghost.var(0)
    return np.concatenate(outputs), mean, variance


def seed_initializer(seed):
    return keras.initializers.GlorotUniform(seed)


def small_network(normalization):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, kernel_initializer=seed_initializer(1)),
            normalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(8, kernel_initializer=seed_initializer(2)),
            normalization(),
            layers.ReLU(),
            layers.Dense(3, kernel_initializer=seed_initializer(3)),
        ]
    )
