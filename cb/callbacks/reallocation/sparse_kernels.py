"""The sparse kernels of a model in training, with their optimizer slots."""

import math
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from cb.callbacks.reallocation.csr_writer import CsrWriter
from cb.callbacks.reallocation.masked_writer import MaskedWriter
from cb.callbacks.reallocation.write_watch import WriteWatch
from cb.callbacks.slots import inner
from cb.callbacks.slots import momentum
from cb.callbacks.slots import slots
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import MaskedKernel
from cb.schedules import TrainingLength
from cb.sparsity import granularity
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import LayerState
from cb.sparsity.reallocation.base import Masks
from cb.sparsity.reallocation.base import WeightPenalty

# Whether an algorithm has events does not depend on the length.
ANY_LENGTH = TrainingLength(total_steps=10**6, steps_per_epoch=10**3)


class SparseKernels:
    """Reads and writes the sparse kernels of a model for an algorithm.

    Args:
        model: Compiled Keras model.
        optimizer: Its optimizer that trains the kernels, built.
        kernels: List of `MaskedKernel`; the others of the model, frozen or
            trained by other optimizers, are left alone.
        algorithm: `Algorithm`; its declarations decide what is read and
            written.

    Raises:
        InputError: If the algorithm does not support the optimizer or the
            granularity.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        kernels: Sequence[MaskedKernel],
        algorithm: Algorithm,
    ):
        self.kernels = kernels
        weights = [kernel.trained for kernel in self.kernels]
        self._model = model
        self._algorithm = algorithm
        # Parsing a spec takes longer than a step of a small layer.
        self._blocks = {kernel.key: kernel.block for kernel in self.kernels}
        self._slots = slots(optimizer, weights) if weights else []
        self._momentum = None
        if weights and algorithm.needs_momentum:
            self._momentum = momentum(optimizer, weights)
        self._writers = self._make_writers()
        self._check_average(optimizer)
        self._check_granularity()
        self._backward: list[keras.Variable] = []
        self._before: list[tuple] = []
        self._masks: Masks = {}
        self._watch = WriteWatch(self._watched())

    def read_masks(self) -> None:
        """Read the masks, at the start and after others have assigned them.

        Raises:
            InputError: If a mask is not one of ones and zeros, or not one of
                blocks.
        """
        for kernel in self.kernels:
            value, block = read(kernel.mask), self._blocks[kernel.key]
            mask = value != 0
            if not np.array_equal(value, mask):
                raise InputError(
                    f"The mask of kernel {kernel.name!r} must hold only 0 and "
                    f"1. Received: {np.unique(value)[:4].tolist()}. Weights "
                    "of a sparse model can be averaged only under one mask."
                )
            blocks = granularity.first_of_blocks(mask, block)
            spread = granularity.spread(blocks, block, mask.shape)
            if not np.array_equal(mask, spread):
                raise InputError(
                    f"The mask of kernel {kernel.name!r} must be one of whole "
                    f"blocks of shape {block}, as its granularity "
                    f"{kernel.layer.granularity!r} says."
                )
            self._masks[kernel.key] = blocks

    def written(self) -> set[str]:
        """Return the keys of the kernels that others have assigned."""
        if not self._watch:
            return set()
        return {
            kernel.key
            for kernel in self.kernels
            if any(v in self._watch for v in kernel.layer.kernel_variables())
        }

    def differing(self) -> set[str]:
        """Return the keys of kernels whose masks are not those last written."""
        return {
            kernel.key
            for kernel, mask in zip(
                self.kernels,
                self._whole(self.kernels, self._masks),
                strict=True,
            )
            if not np.array_equal(read(kernel.mask) != 0, mask)
        }

    def settle(self, before: Masks, backward: Masks | None = None) -> None:
        """Bring weights and slots in line with masks that others have written.

        Args:
            before: Dict of layer key to the mask that was there before.
            backward: As in `write`.
        """
        for writer in self._writers:
            old = self._whole(writer.kernels, before)
            new = self._whole(writer.kernels, self._masks)
            writer.settle(old, new, self._watch)
        self._write_trained(backward)
        self._watch.clear()

    @property
    def masks(self) -> Masks:
        """The masks as they were last read or written, by layer key."""
        return dict(self._masks)

    def layers(
        self,
        gradients: Sequence[np.ndarray] | None = None,
        curvature: Sequence[np.ndarray] | None = None,
    ) -> dict[str, LayerState]:
        """Return the layers as an algorithm sees them."""
        columns = (gradients, self._momentum and self._momentum(), curvature)
        layers = {}
        for number, kernel in enumerate(self.kernels):
            block = self._blocks[kernel.key]
            weights = np.asarray(read(kernel.weight), np.float32)
            others = [
                None
                if c is None
                else granularity.block_scores(c[number], block)
                for c in columns
            ]
            layers[kernel.key] = LayerState(
                granularity.block_scores(weights, block),
                self._masks[kernel.key],
                *others,
            )
        return layers

    def open(self) -> None:
        """Make all connections active; weights keep their values."""
        for kernel in self.kernels:
            kernel.mask.assign(tf.ones(kernel.mask.shape, kernel.mask.dtype))
        self._watch.clear()

    def write(
        self,
        masks: Masks | None = None,
        values: Mapping[str, np.ndarray] | None = None,
        backward: Masks | None = None,
        fresh: bool = False,
    ) -> None:
        """Assign masks and bring weights and slots in line with them.

        Args:
            masks: Dict of layer key to boolean array. Defaults to the
                present masks.
            values: Dict of layer key to the new weights of active positions.
            backward: Dict of layer key to the weights that train.
            fresh: Boolean, whether every active weight keeps its value, also
                where it was inactive.
        """
        before, self._masks = self._masks, dict(masks or self._masks)
        for writer in self._writers:
            after = self._whole(writer.kernels, self._masks)
            if masks is None or fresh:
                writer.write_all(after, fresh)
                continue
            given = [values[k.key] for k in writer.kernels] if values else None
            old = self._whole(writer.kernels, before)
            writer.write_changes(old, after, given)
        self._write_trained(backward)
        self._watch.clear()

    def _write_trained(self, backward: Masks | None) -> None:
        if backward:
            # Only masked layers have weights that do not train.
            (writer,) = self._writers
            sets = self._whole(writer.kernels, backward)
            writer.write_trained(self._backward, sets)

    def _watched(self) -> Iterator[keras.Variable]:
        """Yield the variables that only training and this object may write."""
        for kernel, owned in zip(self.kernels, self._slots, strict=True):
            for variable in kernel.layer.kernel_variables():
                # Run eagerly, the optimizer is nobody else.
                if not (variable.trainable and self._model.run_eagerly):
                    yield variable
            if not self._model.run_eagerly:
                yield from (slot.variable for slot in owned)

    def _make_writers(self) -> list:
        """Return a writer for each kind of layer in the model."""
        pairs = [*zip(self.kernels, self._slots, strict=True)]
        writers = []
        for writer in (MaskedWriter, CsrWriter):
            own = [p for p in pairs if isinstance(p[0].layer, writer.kind)]
            if own:
                kernels, owned = zip(*own, strict=True)
                writers.append(writer(kernels, owned, self._algorithm))
        return writers

    def _whole(
        self, kernels: Sequence[MaskedKernel], masks: Masks
    ) -> list[np.ndarray]:
        """Return the masks of weights that masks of blocks stand for."""
        return [
            granularity.spread(
                masks[k.key], self._blocks[k.key], tuple(k.mask.shape)
            )
            for k in kernels
        ]

    def begin(
        self, penalties: Mapping[str, WeightPenalty], backward: bool
    ) -> None:
        """Add penalties, constraints and backward masks to the training step.

        Args:
            penalties: Dict of layer key to `WeightPenalty`.
            backward: Boolean, whether only some weights train.
        """
        algorithm, cut = self._algorithm, False
        self._before = []
        for number, kernel in enumerate(self.kernels):
            weight, layer = kernel.trained, kernel.layer
            # A `fit` that was cut has left its own.
            cut |= layer.straight_through
            layer.straight_through = False
            vars(layer).pop("backward_masks", None)
            weight.regularizer = _replaced(weight.regularizer)
            weight.constraint = _replaced(weight.constraint)
            self._before.append((weight.regularizer, weight.constraint))
            if kernel.key in penalties:
                weight.regularizer = _penalized(kernel, penalties[kernel.key])
            if not algorithm.straight_through:
                continue
            layer.straight_through = True
            if algorithm.zero_inactive:
                weight.constraint = _masked(kernel)
            if backward:
                # Not by assignment, which would make it a layer's weight.
                masks = vars(layer).setdefault("backward_masks", {})
                masks[kernel.weight_name] = self._backward_mask(number)
        if penalties or algorithm.straight_through or cut:
            self._model.make_train_function(force=True)

    def end(self) -> None:
        """Undo `begin`."""
        for kernel, before in zip(self.kernels, self._before, strict=True):
            kernel.trained.regularizer, kernel.trained.constraint = before
            kernel.layer.straight_through = False
            vars(kernel.layer).pop("backward_masks", None)
        if self._backward or self._algorithm.straight_through:
            self._model.train_function = None
        self._before = []

    def _check_average(self, optimizer) -> None:
        algorithm = self._algorithm
        averages = inner(optimizer).use_ema
        if averages and algorithm.straight_through and algorithm.zero_inactive:
            raise InputError(
                f"Algorithm {type(algorithm).__name__} cannot train with "
                "`use_ema=True`: the averages of inactive weights would not "
                "stay zero."
            )

    def _check_granularity(self) -> None:
        name = type(self._algorithm).__name__
        for kernel in self.kernels:
            spec = kernel.layer.granularity
            coarse = math.prod(self._blocks[kernel.key]) > 1
            grouped = granularity.pattern(spec) is not None
            if (coarse and not self._algorithm.sees_blocks) or (
                grouped and self._algorithm.period(ANY_LENGTH) is not None
            ):
                raise InputError(
                    f"Algorithm {name}, with these arguments, cannot move "
                    f"the connections of layer {kernel.name!r}, whose "
                    f"granularity is {spec!r}. Expected 'weight'."
                )

    def _backward_mask(self, number: int) -> keras.Variable:
        # Kept from one `fit` to the next, like the function that writes it.
        if number == len(self._backward):
            kernel = self.kernels[number]
            with self._model.distribute_strategy.scope():
                variable = keras.Variable(
                    tf.ones(kernel.weight.shape, kernel.mask.dtype),
                    trainable=False,
                    name="backward_mask",
                )
            self._backward.append(variable)
        return self._backward[number]


def _replaced(function):
    """Return what one of the functions below stands in for, or the same."""
    return getattr(function, "replaced", function)


def _masked(kernel: MaskedKernel):
    before = kernel.weight.constraint or (lambda weight: weight)

    def constraint(weight):
        weight = ops.convert_to_tensor(before(weight))
        return ops.where(kernel.mask != 0, weight, ops.zeros_like(weight))

    vars(constraint)["replaced"] = kernel.weight.constraint
    return constraint


def _penalized(kernel: MaskedKernel, penalty: WeightPenalty):
    before = kernel.weight.regularizer or (lambda weight: 0.0)

    def regularizer(weight):
        others = ops.cast(before(weight), "float32")
        # Sums in float16 are coarse, and Keras adds them to a float32 loss.
        weight = ops.cast(weight, "float32")
        mask = ops.cast(kernel.mask, "float32")
        trains = 1.0 - mask
        masks = kernel.layer.backward_masks
        if kernel.weight_name in masks:
            trains *= ops.cast(masks[kernel.weight_name], weight.dtype)
        factors = penalty.active * mask + penalty.inactive * trains
        for_all = 0.5 * ops.sum(factors * ops.square(weight))
        absolute = penalty.absolute * ops.sum(mask * ops.abs(weight))
        return others + for_all + absolute

    vars(regularizer)["replaced"] = kernel.weight.regularizer
    return regularizer
