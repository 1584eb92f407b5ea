"""Gradients of training steps: recorded in one, or given noise in all."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.reallocation.training_step import Held
from cb.callbacks.slots import batch_counter
from cb.callbacks.slots import inner
from cb.layers.attributes import overridden
from cb.layers.masked import MaskedKernel
from cb.layers.masked import straight_through
from cb.seeds import fold_in

Hook = Callable[[list, list, Callable], None]


@contextlib.contextmanager
def hooked(optimizer: keras.optimizers.Optimizer, hook: Hook) -> Iterator[None]:
    """Call `hook` instead of the optimizer in steps traced meanwhile.

    Any training step hands its gradients to the optimizer. One that scales the
    loss hands them, unscaled, to its inner optimizer.

    Args:
        optimizer: Keras optimizer.
        hook: Callable `(gradients, variables, apply)`, with the `apply` of
            the optimizer, called in the context of a replica.
    """
    apply = optimizer.apply

    def replacement(grads, trainable_variables=None):
        variables = trainable_variables or optimizer._trainable_variables
        hook(list(grads), list(variables), apply)

    with overridden("apply", [(optimizer, replacement)]):
        yield


class RunningGradients:
    """Records the gradients of all weights in a training step.

    Args:
        model: Compiled Keras model.
        optimizer: Its optimizer that trains the kernels.
        kernels: List of `MaskedKernel`.
        skips: Boolean, whether the optimizer skips the update of that step;
            the step still counts.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        kernels: Sequence[MaskedKernel],
        skips: bool,
    ):
        self._optimizer = optimizer
        self._kernels = kernels
        self._skips = skips
        with model.distribute_strategy.scope():
            # Read as the sum: Keras divides the loss by the replicas.
            self._taken = [
                tf.Variable(
                    tf.zeros(tuple(kernel.weight.shape)),
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.SUM,
                )
                for kernel in kernels
            ]

    def held(self) -> Held:
        """Return what records the gradients of a training step."""
        return Held(self, lambda settled: self._contexts())

    def read(self) -> list[np.ndarray]:
        """Return the gradients recorded last, one array a kernel."""
        return [tf.convert_to_tensor(v).numpy() for v in self._taken]

    def _contexts(self):
        yield straight_through([kernel.layer for kernel in self._kernels])
        yield hooked(inner(self._optimizer), self._take)

    def _take(self, gradients, variables, apply):
        places = _places(variables)
        for kernel, taken in zip(self._kernels, self._taken, strict=True):
            place = places[id(kernel.weight)]
            gradient = gradients[place]
            taken.assign(tf.cast(gradient, taken.dtype))
            active = tf.not_equal(kernel.mask, 0)
            nothing = tf.zeros_like(gradient)
            gradients[place] = tf.where(active, gradient, nothing)
        if self._skips:
            batch_counter(self._optimizer).assign_add(1)
        else:
            apply(gradients, variables)


class NoisyGradients:
    """Adds normal noise to the gradients of active weights, every step.

    Layers without inactive weights get none.

    Args:
        model: Compiled Keras model.
        optimizer: Its optimizer that trains the kernels.
        kernels: List of `MaskedKernel`.
        seed: Integer; the noise is a function of it and the step.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        kernels: Sequence[MaskedKernel],
        seed: int,
    ):
        self._model = model
        self._optimizer = optimizer
        self._kernels = kernels
        self._seeds = [
            fold_in(seed, "gradients", kernel.key) % 2**31 for kernel in kernels
        ]
        with model.distribute_strategy.scope():
            self._deviation = tf.Variable(0.0, trainable=False)
        self._value = 0.0

    def set_deviation(self, value: float) -> None:
        """Set the standard deviation of the steps that follow."""
        if value != self._value:
            self._deviation.assign(value)
            self._value = value

    def held(self) -> Held:
        """Return what adds the noise in a training step."""
        return Held(
            self, lambda settled: [hooked(inner(self._optimizer), self._add)]
        )

    def _add(self, gradients, variables, apply):
        places = _places(variables)
        step = tf.cast(batch_counter(self._optimizer).value, tf.int32)
        replicas = self._model.distribute_strategy.num_replicas_in_sync
        for kernel, seed in zip(self._kernels, self._seeds, strict=True):
            place = places[id(kernel.weight)]
            gradient = gradients[place]
            # The same on every replica, and gradients are summed.
            noise = tf.random.stateless_normal(
                tf.shape(gradient), tf.stack([seed, step])
            )
            noise *= self._deviation / replicas
            active = tf.not_equal(kernel.mask, 0)
            there = active & ~tf.reduce_all(active)
            noise = tf.where(there, noise, tf.zeros_like(noise))
            gradients[place] = gradient + tf.cast(noise, gradient.dtype)
        apply(gradients, variables)


def _places(variables) -> dict[int, int]:
    return {id(variable): place for place, variable in enumerate(variables)}
