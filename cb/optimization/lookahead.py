"""Lookahead: weights that follow another optimizer's slowly."""

import keras
import tensorflow as tf
from keras import ops

from cb.errors import argument_error
from cb.optimization import optimizers
from cb.optimization.clipping import LearningRate
from cb.optimization.wrapper import OptimizerWrapper
from cb.optimization.wrapper import as_optimizer
from cb.registry import Count
from cb.registry import Fraction
from cb.registry import NotNegative
from cb.registry import check_arguments


@optimizers.REGISTRY.register("lookahead")
@keras.saving.register_keras_serializable("cb")
class Lookahead(OptimizerWrapper):
    """Lets an optimizer run ahead, then follows it part of the way.

    Every `sync_period` updates, the slow weights move by `slow_step` of the
    way to those that the optimizer has reached, and it continues from there.
    The slow weights begin as the weights before the first update.

    Args:
        optimizer: Keras optimizer, or its spec such as
            `"radam(weight_decay=0.01)"`. Decay, moving averages and other
            options of a run are arguments of it.
        sync_period: Integer, updates between two synchronizations.
        slow_step: Float in [0, 1].
        learning_rate: Float or Keras schedule, handed to an optimizer that
            is given as a spec, as are the two that follow.
        global_clipnorm: Float, the largest norm of the whole gradient.
        gradient_accumulation_steps: Integer, batches for one update.
        name: String.

    Raises:
        InputError: If an argument is wrong.

    Reference:

    - [Zhang et al., 2019](https://arxiv.org/abs/1907.08610)
    """

    def __init__(
        self,
        optimizer: str | keras.optimizers.Optimizer = "radam",
        sync_period: Count = 6,
        slow_step: Fraction = 0.5,
        learning_rate: LearningRate | None = None,
        global_clipnorm: NotNegative | None = None,
        gradient_accumulation_steps: Count | None = None,
        name: str = "lookahead",
    ):
        check_arguments(Lookahead, sync_period=sync_period, slow_step=slow_step)
        super().__init__(name)
        given = {
            "learning_rate": learning_rate,
            "global_clipnorm": global_clipnorm,
            "gradient_accumulation_steps": gradient_accumulation_steps,
        }
        given = {k: v for k, v in given.items() if v is not None}
        if isinstance(optimizer, str):
            optimizer = optimizers.build(optimizer, **given)
        elif given:
            name = next(iter(given))
            expected = "that of the optimizer itself, which is no spec"
            raise argument_error(name, expected, given[name])
        self.optimizer = as_optimizer(optimizer)
        self.sync_period = sync_period
        self.slow_step = slow_step

    @property
    def iterations(self):
        return self.optimizer.iterations

    @property
    def current(self):
        """The optimizer that runs ahead."""
        return self.optimizer

    @property
    def variables(self):
        return self._variables + self.optimizer.variables

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.slow_weights = self.add_optimizer_variables(variables, "slow")
        self.optimizer.build(variables)
        # Code that looks for the slots of a weight, to keep masked weights at
        # zero, finds them here; set past the tracking of variables.
        for key, value in vars(self.optimizer).items():
            self.__dict__.setdefault(key, value)
        self.gradient_accumulation_steps = (
            self.optimizer.gradient_accumulation_steps
        )

    def apply(self, grads, trainable_variables=None):
        self.ensure_built(trainable_variables)
        before = tf.identity(ops.convert_to_tensor(self.iterations))
        # Weights may have been loaded since this was built. The inner optimizer
        # may start from a later count, so this one counts for itself.
        self._update_all(_begin, ops.equal(self._iterations, 0))
        self.optimizer.apply(grads, trainable_variables)
        after = ops.convert_to_tensor(self.iterations)
        due = ops.logical_and(
            ops.greater(after, before), ops.equal(after % self.sync_period, 0)
        )
        self._update_all(self._synchronize, due)
        self._iterations.assign_add(1)

    def get_config(self):
        return {
            "name": self.name,
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "sync_period": self.sync_period,
            "slow_step": self.slow_step,
        }

    def _update_all(self, update, due):
        """Run `update(weight, slow)` on every copy of every weight, if due."""

        def all_of_them(strategy):
            for weight, slow in zip(
                self._trainable_variables, self.slow_weights, strict=True
            ):
                strategy.extended.update(
                    weight.value, update, args=(slow.value,), group=False
                )

        def distributed(strategy, due):
            # One condition, since each costs more than a small variable does.
            due = strategy.experimental_local_results(due)[0]
            tf.cond(due, lambda: all_of_them(strategy), lambda: None)

        tf.__internal__.distribute.interim.maybe_merge_call(
            distributed, self._distribution_strategy, due
        )

    def _synchronize(self, weight, slow):
        slow.assign_add(tf.cast(self.slow_step, slow.dtype) * (weight - slow))
        weight.assign(slow)


def _begin(weight, slow):
    slow.assign(weight)
