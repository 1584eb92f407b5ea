"""Gradients of all weights, active or not, on a probe batch."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from cb.distribute.variables import read
from cb.errors import InputError
from cb.errors import RunError
from cb.errors import first_cause
from cb.errors import one_line
from cb.layers.functions import own_function
from cb.layers.masked import MaskedKernel
from cb.layers.masked import straight_through
from cb.layers.sparse_kernel import opened

SMALLEST_LOSS_SCALE = 2.0**-14


class ProbeGradients:
    """Computes dense gradients of the loss for the masked kernels.

    The model runs in training mode, but nothing of it changes: batch-norm
    statistics and seeds are written into a scope that is thrown away.
    Gradients of several replicas are summed, since Keras divides the loss
    by their number.

    Args:
        model: Compiled Keras model.
        kernels: List of `MaskedKernel`.
        batches: Callable from an integer to a batch `(x, y)` or
            `(x, y, sample_weight)`.
        whole: Boolean, whether gradients of layers on CSR kernels are those
            of whole kernels, as if they were masked, or of `values` only.
        optimizer: The optimizer that may scale the loss, by default that of
            the model.
    """

    def __init__(
        self,
        model: keras.Model,
        kernels: Sequence[MaskedKernel],
        batches: Callable,
        whole: bool = True,
        optimizer: keras.optimizers.Optimizer | None = None,
    ):
        self._model = model
        self._optimizer = optimizer
        self._layers = [kernel.layer for kernel in kernels]
        self._weights = [kernel.trained for kernel in kernels]
        self._batches = batches
        self._opened = self._layers if whole else []
        self._function = own_function(
            self._gradients, reduce_retracing=True, autograph=False
        )

    def __call__(self, index: int) -> list[np.ndarray]:
        """Return the gradients on batch `index`, one array a kernel.

        Raises:
            RunError: If they are not finite at any loss scale.
        """
        return self._run(index, [])

    def curvature(
        self, index: int, vectors: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Return the products of the Hessian on batch `index` with vectors.

        Args:
            index: Integer, which batch.
            vectors: One float array a kernel, of its shape.

        Returns:
            List of float32 arrays, one a kernel.
        """
        return self._run(index, [tf.constant(vector) for vector in vectors])

    def _run(self, index, vectors) -> list[np.ndarray]:
        batch = self._distributed(self._batches(index))
        scale = self._loss_scale()
        while True:
            gradients = self._called(batch, tf.constant(scale), vectors)
            # Without a copy: nobody else holds them.
            gradients = [np.asarray(gradient) for gradient in gradients]
            # If any element is not finite, neither is the minimum or maximum.
            if all(np.isfinite([g.min(), g.max()]).all() for g in gradients):
                return gradients
            scale /= 4.0
            if scale < SMALLEST_LOSS_SCALE or self._loss_scale() == 1.0:
                raise RunError(
                    "The gradients of the probe batch are not finite. A lower "
                    "`--learning_rate` may help."
                )

    def _called(self, batch, *arguments):
        try:
            return self._function(batch, *arguments)
        except (NotImplementedError, ValueError) as error:
            kind = type(self._model)
            if kind.train_step is keras.Model.train_step:
                if keras.utils.unpack_x_y_sample_weight(batch)[1] is None:
                    raise InputError(
                        "Argument `dataset` must have targets, `(x, y)`, for "
                        "the loss of the model. Received: inputs alone"
                    ) from error
                raise InputError(
                    "Argument `dataset` must have batches that the model can "
                    "be trained on. Received: "
                    f"{one_line(first_cause(error))}"
                ) from error
            raise InputError(
                f"{kind.__name__} must have `call` and `compute_loss` for the "
                "gradients of a probe batch, as its `train_step` is its own. "
                "Use `rigl(gradients='running')` for those of training steps. "
                f"Received: {one_line(error)}"
            ) from error

    def _loss_scale(self) -> float:
        """Return the scale that keeps small float16 gradients above zero."""
        optimizer = self._optimizer or self._model.optimizer
        scale = getattr(optimizer, "dynamic_scale", None)
        return 1.0 if scale is None else float(read(scale))

    def _distributed(self, batch):
        strategy = self._model.distribute_strategy
        replicas = strategy.num_replicas_in_sync
        if replicas == 1:
            return batch
        examples = int(keras.tree.flatten(batch)[0].shape[0])
        size = examples // replicas
        if size == 0:
            raise InputError(
                f"A probe batch must hold at least {replicas} examples, one "
                f"for each replica. Received: {examples} examples"
            )

        def part(context):
            first = context.replica_id_in_sync_group * size
            return keras.tree.map_structure(
                lambda tensor: tensor[first : first + size], batch
            )

        return strategy.experimental_distribute_values_from_function(part)

    def _gradients(self, batch, scale, vectors):
        strategy = self._model.distribute_strategy
        with straight_through(self._layers), opened(self._opened) as whole:
            arguments = (batch, scale, vectors, whole)
            gradients = strategy.run(self._replica, arguments)
        return [strategy.reduce("SUM", g, axis=None) for g in gradients]

    def _replica(self, batch, scale, vectors, whole):
        with tf.GradientTape() as outer:
            outer.watch(whole)
            # Its values are read under the tapes, so it is made inside.
            with (
                tf.GradientTape() as tape,
                keras.StatelessScope(self._regularized()),
            ):
                tape.watch(whole)
                loss = self._loss(batch)
                loss *= tf.cast(scale, loss.dtype)
            gradients = self._differentiate(tape, loss, whole)
            products = [
                tf.reduce_sum(tf.cast(gradient, tf.float32) * vector)
                for gradient, vector in zip(gradients, vectors, strict=False)
            ]
            product = tf.add_n(products or [0.0])
        if vectors:
            gradients = self._differentiate(outer, product, whole)
        return [tf.cast(gradient, tf.float32) / scale for gradient in gradients]

    def _differentiate(self, tape, target, whole):
        """Return the gradients of all weights, in the shape of kernels."""
        found = tape.gradient(
            target,
            [*(weight.value for weight in self._weights), *whole.values()],
            unconnected_gradients="zero",
        )
        gradients = found[: len(self._weights)]
        for number, kernel in zip(whole, found[len(gradients) :], strict=True):
            # The gradients of active weights themselves are of penalties.
            penalty = self._layers[number].spread(gradients[number])
            gradients[number] = kernel + penalty
        return gradients

    def _regularized(self):
        """Return the variables with regularizers, and their values.

        In a stateless scope Keras penalizes only what the scope holds.
        """
        return [
            (variable, variable.value)
            for variable in self._model.trainable_variables
            if variable.regularizer is not None
        ]

    def _loss(self, batch):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        model = self._model
        training = {"training": True} if model._call_has_training_arg else {}
        return model.compute_loss(
            x=x,
            y=y,
            y_pred=model(x, **training),
            sample_weight=sample_weight,
            training=True,
        )
