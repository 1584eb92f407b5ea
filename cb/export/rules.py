"""What each kind of layer does to channels: which are constant, which go.

A channel is an entry of the last axis. It is constant if it holds one number
for every input, at every position; constants are float arrays with NaN where
a channel varies. What is kept are boolean arrays, and rules only ever add to
them, until nothing changes.
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
    """Return whether an activation sees every channel by itself."""
    return activation in _ELEMENTWISE


class Rule:
    """Of a layer that nothing is known of: everything stays.

    Args:
        call: `Call`.
        reason: String, why nothing is known; empty if something is.
    """

    # How many channels the layer must be left.
    fewest = 1
    # Why all that comes out stays, though what goes in need not.
    outputs_stay = ""

    def __init__(self, call: Call, reason: str = ""):
        self.call = call
        self.layer: Any = call.operation
        self.reason = reason

    def constants(self, inputs: Constants) -> Constants:
        """Return the constants that come out for those that go in."""
        del inputs
        return [np.full(v.channels, np.nan) for v in self.call.results]

    def keep(
        self, inputs: Kept, outputs: Kept, constants: Constants
    ) -> tuple[Kept, Kept]:
        """Return what must stay of the inputs, and of the outputs.

        Args:
            inputs: List of what is kept of every input so far.
            outputs: List of the same for the outputs.
            constants: List of the constants of the inputs.

        Returns:
            Tuple of two lists like `inputs` and `outputs`.
        """
        del constants
        everything = [np.ones_like(kept) for kept in [*inputs, *outputs]]
        return everything[: len(inputs)], everything[len(inputs) :]

    def config(self, inputs: Kept, outputs: Kept) -> dict[str, Any]:
        """Return what changes in the configuration of the layer."""
        del inputs, outputs
        return {}

    def weights(
        self, inputs: Kept, outputs: Kept, constants: Constants
    ) -> dict[str, np.ndarray]:
        """Return the weights that change, by the layer's attribute."""
        del inputs, outputs, constants
        return {}


class Channelwise(Rule):
    """Of layers that treat every channel by itself and keep constants."""

    def constants(self, inputs):
        return inputs

    def keep(self, inputs, outputs, constants):
        kept = np.logical_or.reduce([*inputs, *outputs])
        return [kept] * len(inputs), [kept] * len(outputs)


class Function(Channelwise):
    """Of layers that apply a function, maybe one for every channel."""

    def constants(self, inputs):
        shape = (1,) * (len(self.call.sources[0].shape) - 1) + (-1,)
        filled = np.nan_to_num(inputs[0]).reshape(shape)
        values = self.layer(filled.astype("float32"), training=False)
        values = np.array(values, "float64").reshape(-1)
        return [np.where(np.isnan(inputs[0]), np.nan, values)]


class Normalization(Function):
    """Of batch normalization, as it is after training."""

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
    """Of `PReLU` with one slope for every channel."""

    def weights(self, inputs, outputs, constants):
        return {"alpha": np.asarray(self.layer.alpha)[..., inputs[0]]}


class Padding(Channelwise):
    """Of zero padding: only zeros stay constant."""

    def constants(self, inputs):
        return [np.where(inputs[0] == 0, 0.0, np.nan)]


class Reshaping(Channelwise):
    """Of a reshape that leaves the last axis alone."""

    def config(self, inputs, outputs):
        *leading, _ = self.layer.target_shape
        return {"target_shape": (*leading, int(inputs[0].sum()))}


class Merging(Channelwise):
    """Of layers that combine several inputs, entry by entry."""

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
    """Of a concatenation along any axis but the last."""

    def constants(self, inputs):
        equal = np.all([values == inputs[0] for values in inputs], axis=0)
        return [np.where(equal, inputs[0], np.nan)]


class Concatenation(Rule):
    """Of a concatenation of channels."""

    def constants(self, inputs):
        return [np.concatenate(inputs)]

    def keep(self, inputs, outputs, constants):
        kept = np.concatenate(inputs) | outputs[0]
        edges = np.cumsum([len(part) for part in inputs])[:-1]
        return np.split(kept, edges), [kept]


class Flattening(Rule):
    """Of layers that make every position of a channel a channel."""

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
