"""A layer that solves a differential equation."""

import warnings

import keras
from keras import ops

from cb.errors import InputError


def _solver(tolerance: float):
    """Make the adaptive solver, from an optional dependency."""
    try:
        with warnings.catch_warnings():
            # It asks for versions in a way that Python has deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            from tensorflow_probability.python.math import ode
    except ImportError as error:
        raise InputError(
            "A `NeuralODE` needs TensorFlow Probability: `pip install "
            f"tensorflow-probability tf_keras`. Received: {error}"
        ) from error
    return ode.DormandPrince(
        rtol=tolerance,
        atol=tolerance,
        make_adjoint_solver_fn=lambda: _solver(tolerance),
    )


@keras.saving.register_keras_serializable(package="cb")
class NeuralODE(keras.layers.Layer):
    """The state at time 1 of `dx/dt = derivative(x)` that starts at the input.

    The solver is Dormand and Prince's of order 5, whose steps adapt to the
    whole batch. Gradients come from the adjoint equation, so that memory does
    not grow with the number of steps. The solver's state is float32 under any
    dtype policy; the derivative and the output follow the policy.

    Reference:

    - [Chen et al., 2018](https://arxiv.org/abs/1806.07366)

    Args:
        derivative: List of Keras layers, applied one after the other. They
            must keep the shape of the state.
        tolerance: Float, relative and absolute tolerance of a solver's step.

    Input shape:
        Any.

    Output shape:
        That of the input.

    Raises:
        InputError: If `tensorflow-probability` is not installed.
    """

    def __init__(
        self,
        derivative: list[keras.layers.Layer],
        tolerance: float = 1e-3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.derivative = [
            keras.saving.deserialize_keras_object(layer)
            if isinstance(layer, dict)
            else layer
            for layer in derivative
        ]
        self.tolerance = tolerance

    def build(self, input_shape):
        for layer in self.derivative:
            if not layer.built:
                layer.build(input_shape)
        self.built = True

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, self.compute_dtype)

    def call(self, inputs):
        state = ops.cast(inputs, "float32")
        solution = _solver(self.tolerance).solve(
            self._rate, 0.0, state, solution_times=[1.0]
        )
        return ops.cast(solution.states[0], self.compute_dtype)

    def _rate(self, time, state):
        rate = ops.cast(state, self.compute_dtype)
        for layer in self.derivative:
            rate = layer(rate)
        return ops.cast(rate, state.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "derivative": keras.saving.serialize_keras_object(self.derivative),
            "tolerance": self.tolerance,
        }
