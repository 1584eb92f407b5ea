"""Kernels and masks of layers that do not hold them as arrays."""

from typing import Any

import tensorflow as tf


class DenseView:
    """Read-only view of a CSR kernel, or of its mask, as a dense variable.

    Args:
        layer: `SparseKernel`.
        is_mask: Boolean, whether active entries read as 1.
    """

    dtype = "float32"

    def __init__(self, layer: Any, is_mask: bool):
        self._layer = layer
        self._is_mask = is_mask

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the kernel."""
        return self._layer.kernel_shape

    @property
    def value(self) -> tf.Tensor:
        """The current kernel or mask, computed on each access."""
        if not self._is_mask:
            return self._layer.kernel
        if self._layer.whole is not None:
            return tf.ones(self.shape)
        return self._layer.spread(tf.ones(self._layer.connections))
