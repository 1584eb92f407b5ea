"""The only writer of masks during training."""

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.probe import Batches
from cb.callbacks.probe import ProbeGradients
from cb.callbacks.slots import inner
from cb.callbacks.slots import slots
from cb.layers.masked import MaskedKernel
from cb.layers.masked import masked_kernels
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Connections
from cb.sparsity.reallocation.base import Event
from cb.sparsity.schedules import Horizon
from cb.sparsity.schedules import Period
from cb.sparsity.seeds import fold
from cb.variables import read


class Change(NamedTuple):
    """What an event did to one layer.

    Attributes:
        kernel: `MaskedKernel`.
        before: Boolean array, the mask before the event.
        after: Boolean array, the mask after it.
    """

    kernel: MaskedKernel
    before: np.ndarray
    after: np.ndarray


class Reallocation(keras.callbacks.Callback):
    """Moves the connections of masked layers during `fit`.

    Inactive weights, their optimizer slots and moving averages are kept
    exactly zero. Events follow `optimizer.iterations`, also under gradient
    accumulation, loss scaling and `steps_per_execution`; one that is due
    after a step happens before the next step or at the end of the epoch.

    Args:
        algorithm: Spec such as `"rigl(drop_fraction=0.3, every=100)"`, or an
            algorithm object.
        dataset: Where algorithms that need gradients take their probe
            batches: a batched `tf.data.Dataset` in a deterministic order, or
            a callable from the number of an event to a batch.
        seed: Integer, decides every random choice.
        total_steps: Integer, optimizer steps of the whole training. Defaults
            to those so far plus those of this `fit`.
        steps_per_epoch: Integer, optimizer steps of an epoch. Defaults to
            what `fit` says.
        on_event: Callable `(step, changes)` with a list of `Change`, called
            after every event.

    Raises:
        InputError: If the algorithm's spec is wrong.
        ValueError: In `fit`, if the model has no masked layers, its
            optimizer cannot keep weights at zero, or gradients are needed
            and `dataset` is missing.

    Example:

    >>> model = cb.sparsify(model, sparsity=0.9)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> model.fit(data, callbacks=[cb.callbacks.Reallocation("set")])
    """

    def __init__(
        self,
        algorithm,
        dataset=None,
        seed: int = 0,
        total_steps: int | None = None,
        steps_per_epoch: int | None = None,
        on_event: Callable | None = None,
    ):
        super().__init__()
        if not isinstance(algorithm, reallocation.Reallocation):
            algorithm = reallocation.build(algorithm)
        self.algorithm = algorithm
        self.dataset = dataset
        self.seed = seed
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.on_event = on_event
        if isinstance(dataset, tf.data.Dataset):
            self._batches = Batches(dataset)
        else:
            self._batches = dataset
        self._state: dict[str, np.ndarray] | None = None

    def get_state(self) -> dict[str, np.ndarray]:
        """Return the algorithm's state, to be saved with a checkpoint."""
        return dict(self._state or {})

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a saved state."""
        self._state = dict(state)

    def on_train_begin(self, logs=None):
        self._kernels = masked_kernels(self.model)
        if not self._kernels:
            raise ValueError(
                f"Model {self.model.name!r} has no masked layers. Make it "
                "sparse with `cb.sparsify` first."
            )
        if self.algorithm.needs_gradients and self._batches is None:
            raise ValueError(
                f"Algorithm {type(self.algorithm).__name__} needs gradients. "
                "Pass `dataset`, from which probe batches are taken."
            )
        self._prepare()
        if self.algorithm.zero_inactive:
            self._assign([tf.not_equal(k.mask, 0) for k in self._kernels])
        if self._state is None:
            self._state = self.algorithm.init(self._layers())
        self._period: Period | None = None
        self._resolved = False

    def on_epoch_begin(self, epoch, logs=None):
        if self._resolved:
            return
        # The length is known only now: `fit` may begin in a later epoch.
        self._period = self.algorithm.period(self._horizon(epoch))
        self._resolved = True
        self._read_step()

    def on_train_batch_begin(self, batch, logs=None):
        # The end of a batch is where Keras hands logs to callbacks, which
        # makes it wait for the step; its beginning costs nothing.
        self._unread += self.model.steps_per_execution
        # Reading the step costs as much as small layers do, so it is read
        # only when enough batches have begun for an event to be due.
        if self._next is not None and self._unread >= self._next - self._step:
            self._catch_up()

    def on_test_begin(self, logs=None):
        # What is validated is what is saved.
        self._catch_up()

    def on_epoch_end(self, epoch, logs=None):
        self._catch_up()

    def _prepare(self):
        model, weights = self.model, [k.weight for k in self._kernels]
        if not model.optimizer.built:
            with model.distribute_strategy.scope():
                model.optimizer.build(model.trainable_variables)
        self._slots = slots(model.optimizer, weights)
        self._assign = tf.function(self._assign_masks)
        self._probe = None
        if self.algorithm.needs_gradients:
            self._probe = ProbeGradients(model, self._kernels, self._batches)

    def _horizon(self, epoch: int) -> Horizon:
        steps = self.steps_per_epoch
        if steps is None and (batches := self.params.get("steps")):
            accumulation = inner(
                self.model.optimizer
            ).gradient_accumulation_steps
            steps = math.ceil(batches / (accumulation or 1))
        total = self.total_steps
        if total is None and steps is not None:
            left = (self.params["epochs"] - epoch) * steps
            total = int(read(self.model.optimizer.iterations)) + left
        return Horizon(total, steps)

    def _read_step(self):
        self._step = int(read(self.model.optimizer.iterations))
        self._unread = 0
        self._next = self._period and self._period.next(self._step)

    def _catch_up(self):
        previous = self._step
        self._read_step()
        if self._period is None:
            return
        if due := self._period.due(previous, self._step):
            number = due // self._period.every - 1
            self._reallocate(Event(due, number, self._period))

    def _layers(self, gradients=None) -> dict[str, Connections]:
        gradients = gradients or [None] * len(self._kernels)
        return {
            kernel.key: Connections(
                _float(kernel.weight), _float(kernel.mask) != 0, gradient
            )
            for kernel, gradient in zip(self._kernels, gradients, strict=True)
        }

    def _reallocate(self, event: Event):
        layers = self._layers(self._probe and self._probe(event.number))
        masks, self._state = self.algorithm.update(
            layers,
            self._state,
            event=event,
            seed=fold(self.seed, "reallocation", event.step),
        )
        self._assign([tf.constant(masks[k.key]) for k in self._kernels])
        if self.on_event is not None:
            changes = [
                Change(k, layers[k.key].mask, masks[k.key])
                for k in self._kernels
            ]
            self.on_event(event.step, changes)

    def _assign_masks(self, masks):
        for kernel, slots_, mask in zip(
            self._kernels, self._slots, masks, strict=True
        ):
            kept = tf.logical_and(mask, tf.not_equal(kernel.mask, 0))
            kernel.weight.assign(_where(kept, kernel.weight, 0.0))
            for slot in slots_:
                slot.variable.assign(_where(kept, slot.variable, slot.initial))
            kernel.mask.assign(tf.cast(mask, kernel.mask.dtype))


def _where(kept, variable, otherwise):
    # Not a product: that would leave -0.0 and keep infinities.
    value = tf.convert_to_tensor(variable.value)
    return tf.where(kept, value, tf.cast(otherwise, value.dtype))


def _float(variable) -> np.ndarray:
    return np.asarray(read(variable), np.float32)
