"""Stochastic gradient descent of the published recipes."""

import numbers

import keras
import tensorflow as tf
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from cb.optimization.clipping import GlobalClipping
from cb.optimization.clipping import LearningRate
from cb.optimization.fused_updates import handle
from cb.optimization.optimizers import REGISTRY
from cb.registry import Count
from cb.registry import Fraction
from cb.registry import check_arguments


@REGISTRY.register("published_sgd")
@keras.saving.register_keras_serializable("cb")
class PublishedSGD(GlobalClipping):
    """Gradient descent with the learning rate outside the velocity.

    ```
    d = clip(g) + weight_decay * w
    velocity = momentum * velocity + d
    w = w - learning_rate * velocity
    ```

    With `nesterov`, the last line takes `d + momentum * velocity`. Keras's
    `SGD` has the learning rate inside the velocity and subtracts
    `learning_rate * weight_decay * w` beside it. The two differ after each
    change of the learning rate and wherever decay meets momentum.

    Args:
        learning_rate: Float or Keras schedule.
        momentum: Float in [0, 1], or a Keras schedule of the step.
        nesterov: Boolean.
        weight_decay: Float or Keras schedule, the factor of the weights that
            is added to the gradient.
        exclude_from_decay: Tuple of regular expressions; variables in whose
            name one is found, such as `"bias"`, are not decayed.
        momentum_reset: Integer, every how many updates velocities are set
            to zero; the published large-batch code does so at every epoch.
            Or a tuple of the updates before which they are.

    Raises:
        InputError: If an argument is wrong.

    Reference:

    - [Sutskever et al., 2013](http://proceedings.mlr.press/v28/sutskever13.html)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.1,
        momentum: Fraction | LearningRateSchedule = 0.9,
        nesterov: bool = False,
        weight_decay: LearningRate | None = None,
        exclude_from_decay: tuple[str, ...] = (),
        momentum_reset: Count | tuple[Count, ...] | None = None,
        *,
        name: str = "published_sgd",
        **kwargs,
    ):
        momentum, weight_decay = _schedule(momentum), _schedule(weight_decay)
        check_arguments(
            PublishedSGD,
            momentum=momentum,
            weight_decay=weight_decay,
            momentum_reset=momentum_reset,
        )
        super().__init__(
            learning_rate=learning_rate,
            name=name,
            weight_decay=weight_decay,
            **kwargs,
        )
        if isinstance(momentum_reset, list):
            momentum_reset = tuple(momentum_reset)
        self.momentum = momentum
        self.nesterov = nesterov
        self.exclude_from_decay = tuple(exclude_from_decay)
        if isinstance(momentum_reset, numbers.Integral):
            momentum_reset = int(momentum_reset)
        self.momentum_reset = momentum_reset
        if self.exclude_from_decay:
            self.exclude_from_weight_decay(var_names=self.exclude_from_decay)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        gradient = ops.cast(tf.convert_to_tensor(gradient), dtype)
        if self.weight_decay and self._use_weight_decay(variable):
            decay = ops.cast(self._at_step(self.weight_decay), dtype)
            gradient = gradient + decay * ops.cast(variable, dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        if self.momentum_reset is not None:
            old = ops.convert_to_tensor(velocity)
            zeros = ops.zeros_like(old)
            self.assign(velocity, ops.where(self._is_reset(), zeros, old))
        # One pass over the weights, where products and sums take six.
        tf.raw_ops.ResourceApplyMomentum(
            var=handle(variable),
            accum=handle(velocity),
            lr=ops.cast(learning_rate, dtype),
            grad=gradient,
            momentum=ops.cast(self._at_step(self.momentum), dtype),
            use_nesterov=self.nesterov,
        )

    def get_config(self):
        config = super().get_config()
        for key in ("momentum", "weight_decay"):
            value = getattr(self, key)
            if isinstance(value, LearningRateSchedule):
                value = keras.saving.serialize_keras_object(value)
            config[key] = value
        return {
            **config,
            "nesterov": self.nesterov,
            "exclude_from_decay": self.exclude_from_decay,
            "momentum_reset": self.momentum_reset,
        }

    def _is_reset(self):
        if isinstance(self.momentum_reset, int):
            return ops.equal(self.iterations % self.momentum_reset, 0)
        resets = ops.convert_to_tensor(self.momentum_reset, "int64")
        return ops.any(ops.equal(self.iterations, resets))

    def _at_step(self, value):
        return value(self._iterations) if callable(value) else value

    def _apply_weight_decay(self, variables):
        # Decay is part of the gradient here.
        pass


def _schedule(value):
    if isinstance(value, dict):
        return keras.saving.deserialize_keras_object(value)
    return value
