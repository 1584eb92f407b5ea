"""The sparse kernels of a model in training, with their optimizer slots."""

import contextlib
import math
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.reallocation.csr_writer import CsrWriter
from cb.callbacks.reallocation.csr_writer import structures
from cb.callbacks.reallocation.graph_events import GraphEvents
from cb.callbacks.reallocation.graph_events import Moved
from cb.callbacks.reallocation.masked_writer import MaskedWriter
from cb.callbacks.reallocation.read_masks import blocks_of
from cb.callbacks.reallocation.step_terms import masked
from cb.callbacks.reallocation.step_terms import penalized
from cb.callbacks.reallocation.step_terms import ruled
from cb.callbacks.reallocation.training_step import Held
from cb.callbacks.reallocation.training_step import forget
from cb.callbacks.reallocation.training_step import is_usual
from cb.callbacks.reallocation.training_step import takes_operations
from cb.callbacks.reallocation.write_watch import WriteWatch
from cb.callbacks.reallocation.zeros import zero_weights
from cb.callbacks.slots import inner
from cb.callbacks.slots import momentum
from cb.callbacks.slots import slots
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.attributes import overridden
from cb.layers.masked import MaskedKernel
from cb.layers.masked import straight_through
from cb.layers.masked_gradients import MASKED_GRADIENT
from cb.optimization.fused_updates import update_steps
from cb.schedules import TrainingLength
from cb.sparsity import granularity
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState
from cb.sparsity.reallocation.base import Masks
from cb.sparsity.reallocation.base import State
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
        self._optimizer = optimizer
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
        self._held: list[Held] = []
        self._terms = contextlib.ExitStack()
        self._zeroed: dict[keras.layers.Layer, tuple[str, ...]] = {}
        # `None` after a graph has written them.
        self._masks: Masks | None = {}
        self._known: dict[str, list[np.ndarray]] = {}
        strategy = model.distribute_strategy
        self._events = GraphEvents(algorithm, kernels, self._slots, strategy)
        self._watch = WriteWatch(self._watched())

    def read_masks(self) -> None:
        """Read the masks, at the start and after others have assigned them.

        Raises:
            InputError: As `blocks_of`.
        """
        self._masks = {
            kernel.key: blocks_of(kernel, self._blocks[kernel.key])
            for kernel in self.kernels
        }
        self._known = structures(self.kernels)

    def renew(self) -> None:
        """Watch again what another callback has watched since."""
        self._watch.renew()

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
        """Return the keys of kernels that others have assigned unseen.

        Their masks are not those last written, or inactive weights are not
        zero though no training step changes them.
        """
        found = {
            key
            for key, now in structures(self.kernels).items()
            if not all(map(np.array_equal, now, self._known[key]))
        }
        kernels = [k for k in self.kernels if not k.layer.fixed_connections]
        masks = self._whole(kernels, self.masks)
        return found | {
            kernel.key
            for kernel, mask in zip(kernels, masks, strict=True)
            if not np.array_equal(read(kernel.mask) != 0, mask)
            or kernel.weight_name in self._zeroed.get(kernel.layer, ())
            and read(kernel.weight)[~mask].any()
        }

    def settle(self, before: Masks, backward: Masks | None = None) -> None:
        """Bring weights and slots in line with masks that others have written.

        Args:
            before: Dict of layer key to the mask that was there before.
            backward: As in `write`.
        """
        for writer in self._writers:
            old = self._whole(writer.kernels, before)
            new = self._whole(writer.kernels, self.masks)
            writer.settle(old, new, self._watch)
        self._write_trained(backward)
        self._watch.clear()

    @property
    def masks(self) -> Masks:
        """The masks as they were last read or written, by layer key."""
        if self._masks is None:
            self.read_masks()
        return dict(self._masks or {})

    def layers(
        self,
        gradients: Sequence[np.ndarray] | None = None,
        curvature: Sequence[np.ndarray] | None = None,
    ) -> dict[str, LayerState]:
        """Return the layers as an algorithm sees them."""
        masks = self.masks
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
                masks[kernel.key],
                *others,
            )
        return layers

    def open(self) -> None:
        """Make all connections active; weights keep their values."""
        for writer in self._writers:
            writer.open()
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
        before = self.masks
        self._masks = dict(masks or before)
        for writer in self._writers:
            after = self._whole(writer.kernels, self._masks)
            if masks is None or fresh:
                writer.write_all(after, fresh)
                continue
            given = [values[k.key] for k in writer.kernels] if values else None
            old = self._whole(writer.kernels, before)
            writer.write_changes(old, after, given)
        self._known = structures(self.kernels)
        self._write_trained(backward)
        self._watch.clear()

    def act(
        self, state: State | None, event: Event, seed: int
    ) -> tuple[State, list[Moved]] | None:
        """Let a graph do what an event does, if there is one.

        Args:
            state: Dict of name to array, that of the algorithm.
            event: `Event`.
            seed: Integer, the seed of the event.

        Returns:
            Tuple of the new state and a list of `Moved`, one a kernel; `None`
            if nothing was done.
        """
        done = self._events(lambda: self.masks, state, event, seed)
        if done is None:
            return None
        self._masks, state, moved = done
        return state, moved

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
        self,
        penalties: Mapping[str, WeightPenalty],
        backward: bool,
        in_fit: bool = True,
    ) -> None:
        """Say what holds in the training steps of a training.

        Args:
            penalties: Dict of layer key to `WeightPenalty`.
            backward: Boolean, whether only some weights train.
            in_fit: Boolean, whether Keras makes the steps. In a loop of the
                user's own, terms hold until `end`: nobody tells its steps.
        """
        # What a training before, that was cut, has left.
        self._terms.close()
        forget(self._model)
        algorithm, optimizer = self._algorithm, self._optimizer
        through = algorithm.straight_through
        regularizers, constraints, steps = [], [], []
        trained: dict[keras.layers.Layer, dict[str, keras.Variable]] = {}
        fused = takes_operations(self._model)
        for number, kernel in enumerate(self.kernels):
            if kernel.key in penalties:
                penalty = penalized(kernel, penalties[kernel.key], fused)
                regularizers.append((kernel.trained, penalty))
            if through and algorithm.zero_inactive:
                constraints.append((kernel.trained, masked(kernel)))
            if through and backward:
                masks = trained.setdefault(kernel.layer, {})
                masks[kernel.weight_name] = self._backward_mask(number)
        weights = [kernel.trained for kernel in self.kernels]
        rules = [(weight.regularizer, weight.constraint) for weight in weights]
        self._zeroed = {}
        if is_usual(self._model):
            steps = [*update_steps(optimizer, MASKED_GRADIENT)]
            self._zeroed = zero_weights(
                self.kernels, rules, optimizer, algorithm
            )
        zeroed = self._zeroed.items()

        def terms():
            yield ruled("regularizer", regularizers)
            yield ruled("constraint", constraints)
            if through:
                yield straight_through(kernel.layer for kernel in self.kernels)
            yield overridden("backward_masks", trained.items())

        def contexts(settled):
            yield from terms()
            yield overridden("update_step", steps)
            if settled:
                yield overridden("zeroed", zeroed)

        key = (*penalties.items(), self if backward else None, optimizer)
        key += (through, algorithm.zero_inactive, *rules, *zeroed)
        changed = bool(penalties) or through
        self._held = [Held(key, contexts, self._watch, changed)]
        for term in () if in_fit else terms():
            self._terms.enter_context(term)

    def end(self) -> None:
        """Take back what holds in a loop of the user's own."""
        self._terms.close()

    def held(self) -> list[Held]:
        """Return what holds in the training steps of this `fit`."""
        return self._held

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
        algorithm = self._algorithm
        name = type(algorithm).__name__
        for kernel in self.kernels:
            spec = kernel.layer.granularity
            coarse = math.prod(self._blocks[kernel.key]) > 1
            grouped = granularity.pattern(spec) is not None
            if (coarse and not algorithm.sees_blocks) or (
                grouped and (algorithm.at_start or algorithm.period(ANY_LENGTH))
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
