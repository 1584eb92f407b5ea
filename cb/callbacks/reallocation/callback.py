"""The reallocation callback, the only writer of masks during training."""

from collections.abc import Callable
from typing import NamedTuple
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.reallocation.current_fit import CurrentFit
from cb.callbacks.reallocation.current_fit import current_fit
from cb.callbacks.reallocation.followed import follow
from cb.callbacks.reallocation.gradients import NoisyGradients
from cb.callbacks.reallocation.gradients import RunningGradients
from cb.callbacks.reallocation.probe import ProbeGradients
from cb.callbacks.reallocation.probe_batches import check_probe_data
from cb.callbacks.reallocation.probe_batches import probe_batches
from cb.callbacks.reallocation.requirements import check_source
from cb.callbacks.reallocation.requirements import check_training
from cb.callbacks.reallocation.requirements import needs_probe
from cb.callbacks.reallocation.sparse_kernels import SparseKernels
from cb.callbacks.slots import inner
from cb.callbacks.training_state import masked_form
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import write_all
from cb.distribute import collectives
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import MaskedKernel
from cb.runs.source import read_arrays
from cb.schedules import StepTracker
from cb.schedules import TrainingLength
from cb.seeds import fold_in
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState

# New masks and the algorithm's state with them, each by name.
Result = TypeVar("Result")


class Change(NamedTuple):
    """The change of one kernel's mask in an event.

    Attributes:
        kernel: `MaskedKernel`.
        before: Boolean array, the mask before the event.
        after: Boolean array, the mask after it.
    """

    kernel: MaskedKernel
    before: np.ndarray
    after: np.ndarray


class Reallocation(keras.callbacks.Callback):
    """Reallocates the connections of sparse layers during `fit`.

    Inactive weights, their optimizer slots and moving averages are kept
    exactly zero, unless the algorithm trains them too. Events follow
    `optimizer.iterations`, also under gradient accumulation, loss scaling
    and `steps_per_execution`; one that is due after a step happens before
    the next step or at the end of the epoch. Where an entry of a mask stands
    for a block of weights, the algorithm sees blocks. Frozen kernels keep mask
    and weights and count in no budget; unfrozen, they are taken up with the
    mask that they have.

    Args:
        algorithm: Spec such as `"rigl(drop_fraction=0.3, every=100)"`, or an
            algorithm object.
        dataset: Source of probe batches, for algorithms that need gradients:
            a `tf.data.Dataset` in a deterministic order, arrays, `(x, y)` or
            `(x, y, sample_weight)`, a `keras.utils.PyDataset`, or a callable
            from the number of a batch to a batch. What has no batches is cut
            into those of `fit`, or 32 examples where `fit` does not tell.
        seed: Integer, the seed of every random choice.
        total_steps: Integer, optimizer steps of the whole training. Defaults
            to those so far plus those of this `fit`.
        steps_per_epoch: Integer, optimizer steps of an epoch. Defaults to
            that of `fit`.
        on_event: Callable `(step, changes)` with a list of `Change`, called
            after every event.
        optimizer: Keras optimizer whose steps count and whose kernels move,
            for a model that trains with optimizers of its own, such as a GAN:
            one callback for each. Defaults to that of `compile`.

    Raises:
        InputError: If the algorithm's spec is wrong, or `dataset` can be read
            only once; in `fit`, if the algorithm does not support the model or
            its optimizer, or needs gradients and `dataset` is missing, or if
            a trainable sparse kernel belongs to no callback or to two.

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
        optimizer: keras.optimizers.Optimizer | None = None,
    ):
        super().__init__()
        if not isinstance(algorithm, reallocation.Algorithm):
            algorithm = reallocation.build(algorithm)
        self.algorithm = algorithm
        check_probe_data(dataset)
        self.dataset = dataset
        self.seed = seed
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.on_event = on_event
        self.optimizer = optimizer
        self._state: dict[str, np.ndarray] | None = None
        self._resolved = False
        self._compiled: tuple = ()
        self._source: dict[str, np.ndarray] = {}
        if self.algorithm.copy_mask_from is not None:
            # Of several workers, only the chief needs the file.
            self._source = collectives.broadcast(
                tf.distribute.get_strategy(),
                lambda: read_arrays(self.algorithm.copy_mask_from),
            )
        check_source(self.algorithm, self._source)

    def get_state(self) -> dict[str, np.ndarray]:
        """Return the algorithm's state for a checkpoint, name to array."""
        return dict(self._state or {})

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a saved state."""
        self._state = dict(state)

    def metrics(self) -> dict[str, float]:
        """Return the algorithm's own metrics, name to number."""
        return self.algorithm.metrics(self._state or {})

    def on_train_begin(self, logs=None):
        self._prepare(current_fit())
        if self._kernels.kernels:
            self._begin()
        self._period, self._resolved = None, False

    def _begin(self):
        """Bring masks, weights and slots in line, and steps where needed."""
        fresh = self._state is None
        masks = self._start() if fresh else self._take_up()
        self._kernels.begin(
            self.algorithm.penalties(self._kernels.layers()),
            bool(self.algorithm.backward(self._state)),
        )
        self._kernels.write(
            masks, backward=self.algorithm.backward(self._state), fresh=fresh
        )
        if self._noise is not None:
            self._noise.begin()

    def on_epoch_begin(self, epoch, logs=None):
        if self._resolved:
            return
        # The length is known only now: `fit` may begin in a later epoch.
        self._check_epochs()
        self._length = self._training_length(epoch)
        self._period = None
        if self._kernels.kernels:
            self._period = self.algorithm.period(self._length)
        self._resolved = True
        optimizer = self._followed.optimizer
        self._steps = StepTracker(
            self._period, lambda: int(read(optimizer.iterations))
        )

    def on_train_batch_begin(self, batch, logs=None):
        # Not at the end of a batch: there Keras waits for the step, to hand
        # its logs to callbacks.
        self._act(self._steps.crossed())
        if self._running is not None:
            self._arm(self._running)
        if self._noise is not None:
            self._set_noise(self._noise)
        batches = self.model.steps_per_execution
        self._steps.begin_batches(batches * self._followed.updates)

    def on_test_begin(self, logs=None):
        # Validation must see the masks that a checkpoint saves.
        if self._resolved:
            self._act(self._steps.catch_up())

    def on_epoch_end(self, epoch, logs=None):
        self._act(self._steps.catch_up())

    def on_train_end(self, logs=None):
        self._kernels.end()
        if self._noise is not None:
            self._noise.end()
        self._resolved = False

    def _check_epochs(self):
        epochs, wanted = self.params["epochs"], self.algorithm.total_epochs()
        if self.total_steps is None and wanted not in (None, epochs):
            raise InputError(
                "Arguments `iterations` and `post_epochs` need a training of "
                f"{wanted} epochs. Received: epochs={epochs}"
            )

    def _prepare(self, fit: CurrentFit | None):
        """Find kernels and make gradient functions, once a compiled model."""
        model, algorithm = self.model, self.algorithm
        self._follow(fit)
        optimizer, kernels, _ = self._followed
        has_data = self.dataset is not None
        check_training(algorithm, model, self._followed, has_data)
        trained = [id(kernel.trained) for kernel in kernels]
        if self._compiled != (model, optimizer, trained):
            self._compiled = (model, optimizer, trained)
            self._kernels = SparseKernels(model, optimizer, kernels, algorithm)
            common = (model, optimizer, kernels)
            self._probe = self._running = self._noise = None
            if algorithm.gradients == "running" and kernels:
                skips = algorithm.skip_update
                self._running = RunningGradients(*common, skips)
            if algorithm.noise_on_gradients and kernels:
                self._noise = NoisyGradients(*common, self.seed)
            if needs_probe(algorithm):
                batches = probe_batches(self.dataset, fit)
                self._probe = ProbeGradients(
                    model, kernels, batches, optimizer=optimizer
                )
        self._kernels.read_masks()

    def _follow(self, fit: CurrentFit | None):
        """Find what each callback of this `fit` moves, in the first of them."""
        found = fit.callbacks if fit else ()
        together = [one for one in found if isinstance(one, Reallocation)]
        if self not in together:
            together = [self]
        if self is together[0]:
            optimizers = [one.optimizer for one in together]
            followed = follow(self.model, optimizers, fit)
            for one, its in zip(together, followed, strict=True):
                one._followed = its

    def _take_up(self) -> None:
        """Complete the state with that of layers that did not train before."""
        state = self.algorithm.init(self._kernels.layers())
        old = self._state or {}
        self._state = {
            **old,
            **{k: v for k, v in state.items() if k not in old},
        }

    def _start(self):
        """Initialize the state, and the masks if the algorithm chooses them."""
        if self._source:
            self._copy_source()
        self._state = self.algorithm.init(self._kernels.layers())
        if not self.algorithm.at_start:
            return None
        self._kernels.open()
        layers = self._gather(0)
        masks, self._state = self._decided(
            lambda: self.algorithm.initial_masks(
                layers, self._state, seed=fold_in(self.seed, "start")
            )
        )
        return masks

    def _decided(self, decide: Callable[[], Result]) -> Result:
        """Let one worker decide for all, so that masks never differ."""
        return collectives.broadcast(self.model.distribute_strategy, decide)

    def _copy_source(self):
        """Copy masks, and initial weights if asked for, from another run."""
        variables = model_variables(self.model)
        masks = {k: v for k, v in variables.items() if k.endswith("mask")}
        source = masked_form(self._source, variables)
        chosen = {k: source[k] for k in source if k in masks}
        write_all(masks, self._decided(lambda: chosen))
        if self.algorithm.initial_weights:
            path, _, _ = self.algorithm.copy_mask_from.partition(":")
            initial = self._decided(lambda: read_arrays(path, "initial"))
            others = [k for k in variables if k not in masks]
            weights = {k: variables[k] for k in others if "seed" not in k}
            write_all(weights, initial)
        self._kernels.read_masks()

    def _training_length(self, epoch: int) -> TrainingLength:
        optimizer = inner(self._followed.optimizer)
        accumulation = optimizer.gradient_accumulation_steps or 1
        steps, total = self.steps_per_epoch, self.total_steps
        if batches := self.params.get("steps"):
            batches *= self._followed.updates
            left = (self.params["epochs"] - epoch) * batches
            done = int(read(optimizer._iterations))
            total = total or (done + left) // accumulation
            # Not rounded: accumulation continues across epochs.
            steps = steps or batches / accumulation
        return TrainingLength(total, steps)

    def _arm(self, running: RunningGradients):
        """Record the gradients of the next step if an event follows it."""
        if not self._steps.within(1):
            return
        # Overflowed steps did not count, so the event may be further away.
        self._act(self._steps.catch_up())
        if self._steps.next == self._steps.step + 1:
            running.arm()

    def _set_noise(self, noise: NoisyGradients):
        step, deviation = self._steps.step + 1, 0.0
        if self._steps.next == step:
            deviation = self.algorithm.gradient_noise(self._event(step))
        noise.set_deviation(deviation)

    def _event(self, step: int) -> Event:
        number = self._period.number(step)
        return Event(step, number, self._period, self._length)

    def _act(self, due: int | None):
        if due is not None:
            self._reallocate(self._event(due))

    def _gather(self, number: int) -> dict[str, LayerState]:
        if self._running is not None:
            return self._kernels.layers(self._running.read())
        if self._probe is None:
            return self._kernels.layers()
        count = self.algorithm.num_batches
        indices = range(number * count, (number + 1) * count)
        gradients = _mean([self._probe(index) for index in indices])
        curvature = None
        if self.algorithm.needs_curvature:
            curvature = _mean(
                [self._probe.curvature(index, gradients) for index in indices]
            )
        return self._kernels.layers(gradients, curvature)

    def _reallocate(self, event: Event):
        seed = fold_in(self.seed, "reallocation", event.step)
        algorithm, now = self.algorithm, {"event": event, "seed": seed}
        layers = self._gather(event.number)
        layers = algorithm.perturb(layers, self._state, **now)
        masks, self._state = self._decided(
            lambda: algorithm.update(layers, self._state, **now)
        )
        values = algorithm.values(layers, masks, self._state, seed=seed)
        backward = algorithm.backward(self._state)
        self._kernels.write(masks, values, backward)
        if self.on_event is not None:
            changes = [
                Change(k, layers[k.key].mask, masks[k.key])
                for k in self._kernels.kernels
            ]
            self.on_event(event.step, changes)


def _mean(batches: list[list[np.ndarray]]) -> list[np.ndarray]:
    return [np.mean(arrays, axis=0) for arrays in zip(*batches, strict=True)]
