"""Pure functions of a batch of labels, inputs or weights.

All randomness comes from `seed`, a pair of integers as TensorFlow's
stateless functions take it; derive it from the run's seed and the step.
"""

import tensorflow as tf

from cb.registry import Fraction
from cb.registry import NotNegative
from cb.registry import check


def smooth_labels(labels, num_classes: int, smoothing: float = 0.0):
    """Turn class numbers into distributions with label smoothing.

    Each class gets `smoothing / num_classes`, the right one
    `1 - smoothing` more.

    Args:
        labels: Integer tensor `(batch,)` or `(batch, 1)`.
        num_classes: Integer.
        smoothing: Float in [0, 1].

    Returns:
        Float tensor `(batch, num_classes)`, for a categorical cross-entropy.

    Raises:
        InputError: If `smoothing` is out of range.

    Reference:

    - [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567)
    """
    check("smoothing", smoothing, Fraction)
    labels = tf.reshape(labels, [-1])
    return tf.one_hot(
        labels,
        num_classes,
        on_value=1.0 - smoothing + smoothing / num_classes,
        off_value=smoothing / num_classes,
    )


def mixup(inputs, targets, alpha: float, seed):
    """Mix the examples of a batch, each with another, and their targets.

    `x = c * x + (1 - c) * x[order]`, and the same for the targets, with one
    `c` drawn from Beta(alpha, alpha) for the batch, as in the published
    code, and a random `order`.

    Args:
        inputs: Float tensor `(batch, ...)`.
        targets: Float tensor `(batch, num_classes)`.
        alpha: Float, not negative; 0 leaves the batch as it is.
        seed: Integer tensor `(2,)`.

    Returns:
        Tuple of mixed inputs and targets, of the shapes and dtypes given.

    Raises:
        InputError: If `alpha` is negative.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1710.09412)
    """
    check("alpha", alpha, NotNegative)
    if alpha == 0.0:
        return inputs, targets
    seeds = tf.random.split(seed, 2)
    # A quotient of gamma variables is a beta variable. Logarithms keep small
    # `alpha` from drawing two zeros.
    logs = _log_gamma_samples(alpha, seeds[0])
    share = tf.nn.softmax(logs)[0]
    order = tf.argsort(
        tf.random.stateless_uniform(tf.shape(inputs)[:1], seeds[1])
    )

    def mix(tensor):
        part = tf.cast(share, tensor.dtype)
        return part * tensor + (1 - part) * tf.gather(tensor, order)

    return mix(inputs), mix(targets)


def multiplicative_noise(batch_size, standard_deviation: float, seed):
    """Draw weights that multiply the gradient of each example by noise.

    A larger batch averages noise away; `z ~ N(1, s**2)` with `s**2`
    proportional to the batch brings it back without a larger learning rate.
    Use the weights as sample weights: as a mean over the batch is taken, a
    weighted loss has exactly the weighted gradients, provided that examples
    do not interact. Through batch normalization they do, and the noise then
    reaches other examples too.

    Args:
        batch_size: Integer or scalar tensor.
        standard_deviation: Float, `s`.
        seed: Integer tensor `(2,)`.

    Returns:
        Float tensor `(batch_size,)`.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)
    """
    return tf.random.stateless_normal(
        [batch_size], seed, mean=1.0, stddev=standard_deviation
    )


def _log_gamma_samples(alpha, seed):
    """Draw the logarithms of two samples of Gamma(alpha)."""
    # Gamma(a) = Gamma(a + 1) * U**(1 / a), which does not underflow.
    seeds = tf.random.split(seed, 2)
    gamma = tf.random.stateless_gamma([2], seeds[0], alpha + 1.0)
    uniform = tf.random.stateless_uniform(
        [2], seeds[1], minval=1e-30, maxval=1.0
    )
    return tf.math.log(gamma) + tf.math.log(uniform) / alpha
