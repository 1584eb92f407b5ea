"""Compaction rules of layers with kernels."""

import numpy as np

from cb.export.rules import Rule
from cb.export.rules import elementwise

# oneDNN refuses depthwise convolutions of a single channel that TensorFlow 2.21
# has fused with the next operation.
ONEDNN_FEWEST = 2


def _mixing(activation) -> str:
    if elementwise(activation):
        return ""
    name = getattr(activation, "__name__", type(activation).__name__)
    return f"activation {name} may mix what comes out"


class Linear(Rule):
    """Rule of weighted sums of channels, such as `Dense` and `Conv2D`.

    A constant that enters every position alike is added to the bias. Under
    zero padding it is not, since the borders receive less of it.

    Attributes:
        joined: Boolean array `(inputs, outputs)`, whether any weight joins
            two channels.
        sums: Float array like it, of their weights at all positions.
    """

    def __init__(self, call):
        super().__init__(call)
        self.outputs_stay = _mixing(self.layer.activation)
        kernel = self._kernel().astype("float64")
        taps = kernel.reshape(-1, *kernel.shape[-2:])
        self.joined = (taps != 0).any(axis=0)
        self.sums = taps.sum(axis=0)

    def constants(self, inputs):
        if self.outputs_stay:
            return super().constants(inputs)
        fold = self._foldable(inputs[0])
        values = self._bias(inputs[0], fold)
        constant = ~self.joined[~fold].any(axis=0)
        values = np.array(self.layer.activation(self.exact(values)))
        return [np.where(constant & np.isfinite(values), values, np.nan)]

    def keep(self, inputs, outputs, constants):
        kept = outputs[0]
        if self.outputs_stay:
            kept = np.ones_like(kept)
        needed = self.joined[:, kept].any(axis=1)
        return [inputs[0] | needed & ~self._foldable(constants[0])], [kept]

    def config(self, inputs, outputs):
        name = "units" if self.call.kind == "Dense" else "filters"
        return {name: int(outputs[0].sum())}

    def weights(self, inputs, outputs, constants):
        changed = self._kernels(inputs[0], outputs[0])
        bias = self._bias(constants[0], ~inputs[0])[outputs[0]]
        if self.layer.use_bias or bias.any():
            changed["bias"] = bias
        return changed

    def _bias(self, constants, fold):
        """Return the bias with some of the constant inputs folded in."""
        values = np.zeros(self.joined.shape[1])
        if self.layer.use_bias:
            values = np.asarray(self.layer.bias).astype("float64")
        return values + np.nan_to_num(constants[fold]) @ self.sums[fold]

    def _foldable(self, constants):
        if self._uniform():
            return ~np.isnan(constants)
        return constants == 0

    def _uniform(self):
        """Return whether a constant channel adds the same everywhere."""
        if self.call.kind == "Dense" or self.layer.padding == "valid":
            return True
        return all(size == 1 for size in self.layer.kernel_size)

    def _kernel(self):
        """Return the kernel with inputs and outputs as its last axes."""
        return np.asarray(self.layer.kernel)

    def _kernels(self, inputs, outputs):
        return {"kernel": self._kernel()[..., inputs, :][..., outputs]}


class Transposed(Linear):
    """Rule of transposed convolutions, where only zeros can be folded."""

    def _uniform(self):
        return False

    def _kernel(self):
        return np.swapaxes(np.asarray(self.layer.kernel), -1, -2)

    def _kernels(self, inputs, outputs):
        (kernel,) = super()._kernels(inputs, outputs).values()
        return {"kernel": np.swapaxes(kernel, -1, -2)}


class Separable(Linear):
    """Rule of separable convolutions, treated as one product."""

    fewest = ONEDNN_FEWEST

    def __init__(self, call):
        Rule.__init__(self, call)
        self.outputs_stay = _mixing(self.layer.activation)
        first = np.asarray(self.layer.depthwise_kernel).astype("float64")
        second = np.asarray(self.layer.pointwise_kernel).astype("float64")
        taps = first.reshape(-1, *first.shape[-2:])
        points = second.reshape(*first.shape[-2:], -1)
        self.joined = np.einsum(
            "cm,cmo->co", (taps != 0).any(axis=0), points != 0
        )
        self.sums = np.einsum("cm,cmo->co", taps.sum(axis=0), points)

    def _kernels(self, inputs, outputs):
        first = np.asarray(self.layer.depthwise_kernel)
        second = np.asarray(self.layer.pointwise_kernel)
        rows = np.repeat(inputs, first.shape[-1])
        return {
            "depthwise_kernel": first[..., inputs, :],
            "pointwise_kernel": second[..., rows, :][..., outputs],
        }


class Depthwise(Linear):
    """Rule of depthwise convolutions: an output is removed with its input."""

    fewest = ONEDNN_FEWEST

    def __init__(self, call):
        super().__init__(call)
        inputs, self.multiplier = self.joined.shape
        # As a full matrix in which every input is connected to its own outputs.
        own = np.repeat(np.eye(inputs, dtype=bool), self.multiplier, 1)
        self.joined = own & self.joined.reshape(-1)
        self.sums = own * self.sums.reshape(-1)

    def keep(self, inputs, outputs, constants):
        kept = outputs[0].reshape(-1, self.multiplier).any(axis=1)
        if self.outputs_stay:
            kept = np.ones_like(kept)
        kept = inputs[0] | kept
        return [kept], [np.repeat(kept, self.multiplier)]

    def config(self, inputs, outputs):
        return {}

    def _kernels(self, inputs, outputs):
        return {"kernel": self._kernel()[..., inputs, :]}
