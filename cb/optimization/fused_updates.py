"""Updates of optimizers in fewer passes over memory, to the same bits.

TensorFlow has operations that update a variable in one pass. Only those are
used that round as Keras's own update does, operation by operation:
`ResourceApplyAdam`, for one, subtracts a decay from one in float32.
"""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

UpdateStep = Callable[[Any, Any, Any], None]


def update_steps(
    optimizer: keras.optimizers.Optimizer, masking: str | None = None
) -> Iterator[tuple[keras.optimizers.Optimizer, UpdateStep]]:
    """Find what may stand in for the `update_step` of an optimizer.

    `SGD`, `Adam` and `AdamW` of Keras have such an update, for float32
    weights and gradients that nothing has scaled, such as clipping by a norm;
    other optimizers, and classes derived from these, have none.

    Args:
        optimizer: Keras optimizer, built, or one around others.
        masking: String, the name of operations that multiply gradients by
            ones and zeros.

    Yields:
        Tuples of an optimizer, the given one or one inside, and a function
        with the arguments of its `update_step`.
    """
    if rule := RULES.get(type(optimizer)):
        yield optimizer, _fused(optimizer, rule, masking)
    for name in ("inner_optimizer", "optimizer"):
        if hasattr(optimizer, name):
            yield from update_steps(getattr(optimizer, name), masking)
    for one in getattr(optimizer, "optimizers", ()):
        yield from update_steps(one, masking)


def descend(variable, rate, step) -> None:
    """Subtract `step * rate` from a float32 variable."""
    tf.raw_ops.ResourceApplyGradientDescent(
        var=handle(variable), alpha=rate, delta=step
    )


def move_towards(variable, value, fraction: float) -> None:
    """Move a float32 variable by a fraction of its way to a value."""
    way = value - ops.convert_to_tensor(variable)
    descend(variable, tf.constant(-fraction, tf.float32), way)


def _fused(optimizer, rule, masking) -> UpdateStep:
    usual = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        dense = not isinstance(gradient, tf.IndexedSlices)
        if (
            dense
            and gradient.dtype == variable.dtype == "float32"
            and _is_plain(gradient, masking)
        ):
            rate = ops.cast(learning_rate, variable.dtype)
            rule(optimizer, gradient, variable, rate)
        else:
            usual(gradient, variable, learning_rate)

    return update_step


def _sgd(optimizer, gradient, variable, rate):
    if optimizer.momentum == 0:
        descend(variable, rate, gradient)
        return
    index = optimizer._get_variable_index(variable)
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=handle(variable),
        accum=handle(optimizer.momentums[index]),
        lr=rate,
        grad=gradient,
        momentum=tf.constant(optimizer.momentum, tf.float32),
        use_nesterov=optimizer.nesterov,
    )


def _adam(optimizer, gradient, variable, rate):
    index = optimizer._get_variable_index(variable)
    first = optimizer._momentums[index]
    second = optimizer._velocities[index]
    step = ops.cast(optimizer.iterations + 1, "float32")
    decay_1 = ops.power(ops.cast(optimizer.beta_1, "float32"), step)
    decay_2 = ops.power(ops.cast(optimizer.beta_2, "float32"), step)
    rate = rate * ops.sqrt(1 - decay_2) / (1 - decay_1)
    move_towards(first, gradient, 1 - optimizer.beta_1)
    move_towards(second, ops.square(gradient), 1 - optimizer.beta_2)
    if optimizer.amsgrad:
        largest = optimizer._velocity_hats[index]
        optimizer.assign(largest, ops.maximum(largest, second))
        second = largest
    # Without an update of its slots this is the last line of Adam.
    tf.raw_ops.ResourceApplyAdagradV2(
        var=handle(variable),
        accum=handle(second),
        lr=rate,
        epsilon=tf.constant(optimizer.epsilon, tf.float32),
        grad=ops.convert_to_tensor(first),
        update_slots=False,
    )


RULES = {
    keras.optimizers.SGD: _sgd,
    keras.optimizers.Adam: _adam,
    keras.optimizers.AdamW: _adam,
}


def _is_plain(gradient, masking) -> bool:
    """Return whether Keras's product of a gradient and a number is that.

    The compiler of a graph may move a factor of the gradient to the number,
    which only a mask allows without another rounding.
    """
    if tf.executing_eagerly():
        return False
    while gradient.op.type in ("Identity", "IdentityN") or (
        masking and gradient.op.name.split("/")[-1].startswith(masking)
    ):
        gradient = gradient.op.inputs[gradient.value_index]
    return gradient.op.type not in ("Mul", "Placeholder", "RealDiv")


def handle(variable) -> tf.Tensor:
    """Return the resource of a variable, on the replica that updates it."""
    if isinstance(variable, keras.Variable):
        variable = variable.value
    return variable.handle
