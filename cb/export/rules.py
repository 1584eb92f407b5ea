"""Compaction rules: which channels of a layer are constant, which must stay.

A channel is an entry of the last axis. It is constant if it has the same value
for every input at every position; constants are float arrays with NaN where a
channel varies. Channels to keep are boolean arrays; rules only add to them,
until nothing changes.
"""

from typing import Any

import keras
import numpy as np

from cb.export.graph import Call

Constants = list[np.ndarray]
Kept = list[np.ndarray]

_ELEMENTWISE = {
    getattr(keras.activations, name)
    for name in (
        "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu "
        "hard_tanh leaky_relu linear log_sigmoid mish relu relu6 selu "
        "sigmoid silu soft_shrink softplus softsign sparse_plus squareplus "
        "tanh tanh_shrink threshold"
    ).split()
}


def elementwise(activation) -> bool:
    """Return whether an activation is elementwise."""
    return activation in _ELEMENTWISE


class Rule:
    """Rule of an unknown layer: everything stays.

    Args:
        call: `Call`.
        reason: String, why nothing is known; empty if something is.
    """

    # The least number of channels that the layer needs.
    fewest = 1
    # The reason why all outputs stay although inputs need not.
    outputs_stay = ""

    def __init__(self, call: Call, reason: str = ""):
        self.call = call
        self.layer: Any = call.operation
        self.reason = reason

    def exact(self, values: np.ndarray) -> np.ndarray:
        """Return numbers in float64 if the layer computes in it, or float32."""
        wide = self.layer.compute_dtype == "float64"
        return values.astype("float64" if wide else "float32")

    def constants(self, inputs: Constants) -> Constants:
        """Return the constants of the outputs, given those of the inputs."""
        return [np.full(v.channels, np.nan) for v in self.call.results]

    def keep(
        self, inputs: Kept, outputs: Kept, constants: Constants
    ) -> tuple[Kept, Kept]:
        """Return the channels of inputs and outputs that must stay.

        Args:
            inputs: List of boolean arrays, kept channels of every input so far.
            outputs: The same for the outputs.
            constants: List of the constants of the inputs.

        Returns:
            Tuple of two lists like `inputs` and `outputs`.
        """
        everything = [np.ones_like(kept) for kept in [*inputs, *outputs]]
        return everything[: len(inputs)], everything[len(inputs) :]

    def config(self, inputs: Kept, outputs: Kept) -> dict[str, Any]:
        """Return the changes to the configuration of the layer."""
        return {}

    def weights(
        self, inputs: Kept, outputs: Kept, constants: Constants
    ) -> dict[str, np.ndarray]:
        """Return the weights that change, by attribute of the layer."""
        return {}


class Channelwise(Rule):
    """Rule of layers that process channels separately and keep constants."""

    def constants(self, inputs):
        return inputs

    def keep(self, inputs, outputs, constants):
        kept = np.logical_or.reduce([*inputs, *outputs])
        return [kept] * len(inputs), [kept] * len(outputs)


class Function(Channelwise):
    """Rule of layers that apply a function, possibly one for each channel."""

    def constants(self, inputs):
        shape = (1,) * (len(self.call.sources[0].shape) - 1) + (-1,)
        filled = np.nan_to_num(inputs[0]).reshape(shape)
        values = self.layer(self.exact(filled), training=False)
        values = np.array(values, "float64").reshape(-1)
        return [np.where(np.isnan(inputs[0]), np.nan, values)]


class Normalization(Function):
    """Rule of batch normalization at inference."""

    WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")

    def constants(self, inputs):
        (values,) = super().constants(inputs)
        if self.layer.gamma is None:
            return [values]
        beta = np.zeros_like(values)
        if self.layer.beta is not None:
            beta = np.asarray(self.layer.beta)
        return [np.where(np.asarray(self.layer.gamma) == 0, beta, values)]

    def weights(self, inputs, outputs, constants):
        return {
            name: np.asarray(getattr(self.layer, name))[inputs[0]]
            for name in self.WEIGHTS
            if getattr(self.layer, name) is not None
        }


class Slopes(Function):
    """Rule of `PReLU` with one slope for each channel."""

    def weights(self, inputs, outputs, constants):
        return {"alpha": np.asarray(self.layer.alpha)[..., inputs[0]]}


class Padding(Channelwise):
    """Rule of zero padding: only zeros stay constant."""

    def constants(self, inputs):
        return [np.where(inputs[0] == 0, 0.0, np.nan)]


class Reshaping(Channelwise):
    """Rule of a reshape that keeps the last axis."""

    def config(self, inputs, outputs):
        *leading, _ = self.layer.target_shape
        return {"target_shape": (*leading, int(inputs[0].sum()))}


class Merging(Channelwise):
    """Rule of layers that combine several inputs elementwise."""

    FUNCTIONS = {
        "Add": lambda values: np.sum(values, axis=0),
        "Average": lambda values: np.mean(values, axis=0),
        "Maximum": lambda values: np.max(values, axis=0),
        "Minimum": lambda values: np.min(values, axis=0),
        "Multiply": lambda values: np.prod(values, axis=0),
        "Subtract": lambda values: values[0] - values[1],
    }

    def constants(self, inputs):
        values = np.stack(inputs)
        result = self.FUNCTIONS[self.call.kind](values)
        if self.call.kind == "Multiply":
            result = np.where((values == 0).any(axis=0), 0.0, result)
        return [result]


class Joining(Channelwise):
    """Rule of a concatenation along any axis except the last."""

    def constants(self, inputs):
        equal = np.all([values == inputs[0] for values in inputs], axis=0)
        return [np.where(equal, inputs[0], np.nan)]


class Concatenation(Rule):
    """Rule of a concatenation of channels."""

    def constants(self, inputs):
        return [np.concatenate(inputs)]

    def keep(self, inputs, outputs, constants):
        kept = np.concatenate(inputs) | outputs[0]
        edges = np.cumsum([len(part) for part in inputs])[:-1]
        return np.split(kept, edges), [kept]


class Flattening(Rule):
    """Rule of layers that turn every position of a channel into a channel."""

    def constants(self, inputs):
        return [np.tile(inputs[0], self._positions())]

    def keep(self, inputs, outputs, constants):
        parts = outputs[0].reshape(self._positions(), -1)
        kept = inputs[0] | parts.any(axis=0)
        return [kept], [np.tile(kept, self._positions())]

    def config(self, inputs, outputs):
        if self.call.kind == "Flatten":
            return {}
        return {"target_shape": (int(outputs[0].sum()),)}

    def _positions(self):
        (source,), (result,) = self.call.sources, self.call.results
        return result.channels // source.channels
