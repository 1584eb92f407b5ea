"""Rectified Adam."""

from typing import Annotated

import keras
import tensorflow as tf
from keras import ops

from cb.optimization.clipping import GlobalClipping
from cb.optimization.clipping import LearningRate
from cb.optimization.optimizers import REGISTRY
from cb.registry import Interval
from cb.registry import NotNegative
from cb.registry import Rate


@REGISTRY.register("radam")
@keras.saving.register_keras_serializable("cb")
class RAdam(GlobalClipping):
    """Adam that leaves out its denominator until the variance is reliable.

    The variance of Adam's step is large in the first steps. While the
    length of the approximated average, `rho`, is under `threshold`, the step
    is that of momentum; from there on it is Adam's, rectified. Weight decay
    is decoupled: `w` loses `learning_rate * weight_decay * w`, of its value
    before the step.

    Args:
        learning_rate: Float or Keras schedule.
        beta_1: Float, decay of the average gradient.
        beta_2: Float, decay of the average squared gradient.
        epsilon: Float, added to the root of the second.
        threshold: Float, the smallest `rho` at which steps are rectified;
            5 in the published code, 4 (exclusive) in the paper.
        weight_decay: Float, decoupled.

    Reference:

    - [Liu et al., 2020](https://arxiv.org/abs/1908.03265)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: Rate = 0.9,
        beta_2: Rate = 0.999,
        epsilon: NotNegative = 1e-7,
        threshold: Annotated[float, Interval("[4, inf)")] = 5.0,
        weight_decay: NotNegative | None = None,
        *,
        name: str = "radam",
        **kwargs,
    ):
        super().__init__(
            learning_rate=learning_rate,
            name=name,
            weight_decay=weight_decay,
            **kwargs,
        )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.threshold = threshold

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums, self.velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )

    def _distributed_tf_update_step(
        self, distribution, grads_and_vars, learning_rate
    ):
        # The factors of a step are the same for all variables, and many
        # small operations.
        factors = self._factors()

        def update(variable, gradient, learning_rate, *factors):
            self._update(gradient, variable, learning_rate, factors)

        for gradient, variable in grads_and_vars:
            distribution.extended.update(
                variable,
                update,
                args=(gradient, learning_rate, *factors),
                group=False,
            )

    def update_step(self, gradient, variable, learning_rate):
        self._update(gradient, variable, learning_rate, self._factors())

    def _update(self, gradient, variable, learning_rate, factors):
        dtype = variable.dtype
        # That of an embedding has a row for each token, also where they repeat.
        gradient = ops.cast(tf.convert_to_tensor(gradient), dtype)
        index = self._get_variable_index(variable)
        momentum, velocity = self.momentums[index], self.velocities[index]
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(
            velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2)
        )
        correction_1, correction_2, rectifier, rectified = [
            ops.cast(value, dtype) for value in factors
        ]
        root = ops.sqrt(velocity / correction_2) + self.epsilon
        # One division serves both kinds of step.
        divisor = rectified * root + (1 - rectified)
        step = momentum / correction_1 * rectifier / divisor
        self.assign_sub(variable, ops.cast(learning_rate, dtype) * step)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "threshold": self.threshold,
        }

    def _factors(self):
        """Return both bias corrections, the rectifier, and if it applies."""
        # In float32 the early lengths are wrong in the second digit.
        step = ops.cast(self.iterations + 1, "float64")
        decay = ops.power(self.beta_2, step)
        correction_1 = 1.0 - ops.power(self.beta_1, step)
        correction_2 = 1.0 - decay
        longest = 2.0 / (1.0 - self.beta_2) - 1.0
        length = longest - 2.0 * step * decay / correction_2
        rectified = length >= self.threshold
        safe = ops.where(rectified, length, longest)
        rectifier = ops.sqrt(
            (safe - 4.0)
            * (safe - 2.0)
            * longest
            / ((longest - 4.0) * (longest - 2.0) * safe)
        )
        rectifier = ops.where(rectified, rectifier, 1.0)
        return correction_1, correction_2, rectifier, rectified
