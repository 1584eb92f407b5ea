"""The protocol of layers whose kernels are computed from other variables."""

from collections.abc import Sequence
from typing import Any
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from cb.layers.attributes import AddedArguments


class ComputedKernel:
    """Descriptor: stores a raw variable, reads as the kernel made from it.

    Keras layers disagree on how they hold their kernel: as `_kernel` behind
    a property, or as a plain attribute. A descriptor that stores every
    assignment as `_<name>` serves both.

    Args:
        name: String, the attribute that it stands for.
    """

    def __init__(self, name: str):
        self.name = name

    def __get__(self, layer, owner=None):
        if layer is None:
            return self
        if layer.built and layer.has_kernel(self.name):
            return layer.effective(self.name)
        if layer.built and f"_{self.name}" in vars(layer):
            # In the rest of the `build` of a subclass.
            return vars(layer)[f"_{self.name}"]
        raise AttributeError(
            f"You must build the layer before accessing `{self.name}`."
        )

    def __set__(self, layer, value):
        # `Layer.__setattr__` has tracked the variable already.
        layer.__dict__[f"_{self.name}"] = value


class ComputedKernels(AddedArguments):
    """Mixin: a layer whose kernels are not variables.

    Masked layers, layers on CSR kernels and layers with shared values.
    Conversions, costs, metrics and callbacks read and write kernels by these
    methods, whatever the class is.

    Attributes:
        kernel_names: Names of the kernels. The attribute of that name is
            the kernel that inputs are multiplied by.
        masked_weights: Those of them that have a mask.
        fixed_connections: Boolean, whether the number of active weights
            never changes.
        dense_class: The Keras class with the same outputs, as
            `cb.layers.register_masked` sets it.
    """

    name: str
    built: bool
    kernel_names: Sequence[str] = ("kernel",)
    masked_weights: Sequence[str] = ()
    fixed_connections: ClassVar[bool] = False
    dense_class: ClassVar[type[keras.layers.Layer]]

    def raw(self, name: str) -> Any:
        """Return a kernel under its mask, with a `shape` and a `value`."""
        raise NotImplementedError

    def mask_of(self, name: str) -> Any:
        """Return the mask of a kernel, likewise, or `None`."""
        raise NotImplementedError

    def block(self, name: str) -> tuple[int, ...]:
        """Return the shape of the blocks that a mask switches."""
        raise NotImplementedError

    def trained(self, name: str) -> keras.Variable:
        """Return the variable of a kernel that the optimizer updates."""
        raise NotImplementedError

    def kernel_variables(self) -> list[keras.Variable]:
        """List the variables that hold kernels and their active positions."""
        raise NotImplementedError

    def write_kernel(self, name: str, kernel: Any, mask: Any = None) -> None:
        """Take over a kernel and its mask.

        Args:
            name: String, the kernel's name.
            kernel: Variable or tensor of the kernel's shape.
            mask: Likewise, 1 where it is active; `None` keeps the mask.
        """
        raise NotImplementedError

    def has_kernel(self, name: str) -> bool:
        """Return whether all that a kernel is computed from is there."""
        del name
        return True

    def effective(self, name: str) -> Any:
        """Return the kernel that inputs are multiplied by."""
        raise NotImplementedError

    def add_integers(self, name, initial):
        """Add an int32 variable, not trained, that starts as an array."""
        return self.add_weight(
            name=name,
            shape=initial.shape,
            initializer=lambda shape, dtype: tf.convert_to_tensor(
                initial, dtype
            ),
            dtype="int32",
            trainable=False,
        )

    def enable_lora(self, *args, **kwargs):
        """Refuse: a low-rank update would not stay sparse or shared."""
        self._refuse_until_stripped("take LoRA weights")

    def quantize(self, *args, **kwargs):
        """Refuse: the kernel would no longer be computed."""
        self._refuse_until_stripped("be quantized")

    def _refuse_until_stripped(self, action):
        raise ValueError(
            f"Layer {self.name!r} computes its kernel and cannot {action}. "
            "Use `cb.strip(model)` first."
        )


def kernel_names(layer: keras.layers.Layer) -> list[str]:
    """List the kernels of a layer that are not variables."""
    return [*layer.kernel_names] if isinstance(layer, ComputedKernels) else []


def has_kernels(layer: keras.layers.Layer) -> bool:
    """Return whether a layer multiplies its inputs with weights of its own.

    Those of its cells are a recurrent layer's own.
    """
    if isinstance(layer, keras.layers.RNN):
        return any(map(has_kernels, cells(layer)))
    return bool(kernel_names(layer)) or any(
        len(variable.shape) >= 2 for variable in layer._trainable_variables
    )


def cells(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """List the layers that a recurrent layer calls at each step, if it is one.

    Args:
        layer: Keras layer.
    """
    recurrent = isinstance(layer, keras.layers.RNN)
    return layer._flatten_layers(include_self=False) if recurrent else []


def effective_weights(layer: keras.layers.Layer) -> list:
    """List the trainable weights of a layer as its inputs meet them.

    Args:
        layer: Built Keras layer.

    Returns:
        List with an entry for each of the layer's own trainable variables:
        the variable, or the kernel that is computed from it.
    """
    kernels = {
        id(layer.trained(name)): getattr(layer, name)
        for name in kernel_names(layer)
    }
    return [kernels.get(id(v), v) for v in layer._trainable_variables]


def copy_kernel(
    source: keras.layers.Layer, target: keras.layers.Layer, name: str
) -> None:
    """Copy a kernel and its mask from a layer to another, of any kinds.

    A masked layer takes inactive weights as they are, any other as zeros.

    Args:
        source: Built Keras layer.
        target: Likewise, with a kernel of the same name and shape.
        name: String, the kernel's name.
    """
    kernel, mask = getattr(source, name, None), None
    if isinstance(source, ComputedKernels):
        kernel, mask = source.raw(name), source.mask_of(name)
    if isinstance(target, ComputedKernels):
        target.write_kernel(name, kernel, mask)
        return
    value = numpy_value(kernel)
    if mask is not None:
        # Not a product: that would leave -0.0.
        zero = np.zeros((), value.dtype)
        value = np.where(numpy_value(mask) != 0, value, zero)
    getattr(target, name).assign(value)


def numpy_value(variable: Any) -> np.ndarray:
    """Return a variable, a view of one or a tensor as an array."""
    return tf.convert_to_tensor(getattr(variable, "value", variable)).numpy()
