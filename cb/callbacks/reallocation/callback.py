"""The reallocation callback, the only writer of masks during training."""

import os
from collections.abc import Callable
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.reallocation.copied_masks import copy_source
from cb.callbacks.reallocation.current_fit import CurrentFit
from cb.callbacks.reallocation.current_fit import current_fit
from cb.callbacks.reallocation.event_gradients import EventGradients
from cb.callbacks.reallocation.followed import follow_together
from cb.callbacks.reallocation.outcome import TOTALS
from cb.callbacks.reallocation.outcome import Change
from cb.callbacks.reallocation.outcome import Outcome
from cb.callbacks.reallocation.outcome import masks_to_come
from cb.callbacks.reallocation.probe_batches import check_probe_data
from cb.callbacks.reallocation.requirements import check_epochs
from cb.callbacks.reallocation.requirements import check_order
from cb.callbacks.reallocation.requirements import check_source
from cb.callbacks.reallocation.requirements import check_training
from cb.callbacks.reallocation.saved_state import attach
from cb.callbacks.reallocation.saved_state import detach
from cb.callbacks.reallocation.saved_state import names
from cb.callbacks.reallocation.sparse_kernels import SparseKernels
from cb.callbacks.reallocation.training_step import hold
from cb.distribute import collectives
from cb.distribute.variables import read
from cb.layers.saved_state import AlgorithmState
from cb.runs.source import read_arrays
from cb.schedules import StepTracker
from cb.seeds import fold_in
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState
from cb.sparsity.reallocation.base import Masks
from cb.sparsity.reallocation.base import State

# New masks and the algorithm's state with them, each by name.
Result = TypeVar("Result")


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
        log_dir: Folder to which every event writes `density/KERNEL`,
            `dropped/KERNEL` and `grown/KERNEL` for TensorBoard.

    The logs of an epoch, and so `history`, get `reallocation/events`,
    `reallocation/dropped` and `reallocation/grown` of that epoch, and the
    `reallocation/density` of all sparse kernels. What was asked for and has
    not happened when training ends, such as events or a final sparsity, is a
    `cb.errors.NotReached` warning.

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

    _kernels: SparseKernels

    def __init__(
        self,
        algorithm,
        dataset=None,
        seed: int = 0,
        total_steps: int | None = None,
        steps_per_epoch: int | None = None,
        on_event: Callable | None = None,
        optimizer: keras.optimizers.Optimizer | None = None,
        log_dir: str | os.PathLike[str] | None = None,
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
        self._outcome = Outcome(log_dir)
        self._state: State | None = None
        # A state from outside, with the step up to which events have happened.
        self._given: tuple[int | None, State] | None = None
        self._since: int | None = None
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

    def get_state(self) -> State:
        """Return the algorithm's state for a checkpoint, name to array."""
        if self._given is not None:
            return dict(self._given[1])
        totals = self._outcome.totals
        counted = {TOTALS: totals} if totals.any() else {}
        return {**(self._state or {}), **counted}

    def set_state(self, state: State) -> None:
        """Continue from a saved state."""
        self._given = (None, dict(state))

    def saved(self) -> AlgorithmState | None:
        """Return what files of the model hold, see `attach`."""
        if self._state is None:
            return None
        step = self._steps.step if self._resolved else self._steps_done()
        return AlgorithmState(*names(self.algorithm), step, self.get_state())

    def load(self, state: AlgorithmState) -> None:
        """Take over what `saved` returned, if it is of the same algorithm.

        Others than its arguments have goals of their own: only masks stay.
        """
        name, arguments = names(self.algorithm)
        if state.name == name:
            # Files of earlier versions do not name them.
            same = state.arguments in ("", arguments)
            self._given = (state.step, dict(state.arrays) if same else {})

    def metrics(self) -> dict[str, float]:
        """Return the algorithm's own metrics, name to number."""
        return self.algorithm.metrics(self._state or {})

    def set_model(self, model):
        super().set_model(model)
        # Before any callback restores weights in `on_train_begin`.
        attach(self, model, self.optimizer)

    def on_train_begin(self, logs=None):
        fit = current_fit()
        before, written = self._prepare(fit)
        self._outcome.begin(self.model)
        self._first = self._steps_done()
        if self._kernels.kernels:
            self._begin(before, written, fit is not None)
        self._period, self._resolved = None, False

    def _begin(self, before: Masks, written: set[str], in_fit: bool):
        """Bring masks, weights and slots in line, and steps where needed."""
        masks, fresh = None, self._state is None and self._given is None
        if fresh:
            masks = self._start()
        else:
            self._agree(written)
            self._kernels.settle(before)
        self._kernels.begin(
            self.algorithm.penalties(self._kernels.layers()),
            bool(self.algorithm.backward(self._state)),
            in_fit,
        )
        self._kernels.write(
            masks, backward=self.algorithm.backward(self._state), fresh=fresh
        )

    def on_epoch_begin(self, epoch, logs=None):
        if self._resolved:
            return
        # The length is known only now: `fit` may begin in a later epoch.
        if self.total_steps is None:
            check_epochs(self.algorithm, self.params["epochs"])
        self._length = self._followed.training_length(
            self.params, epoch, self.total_steps, self.steps_per_epoch
        )
        self._period = self.algorithm.period(self._length)
        self._resolved = True
        self._track_steps()

    def on_train_batch_begin(self, batch, logs=None):
        self._settle(compare=batch == 0)
        # Not at the end of a batch: there Keras waits for the step, to hand
        # its logs to callbacks.
        self._act(self._steps.crossed())
        held = self._gradients.before_batch(self._steps, self._act, self._event)
        hold(self.model, [*self._kernels.held(), *held])
        batches = self.model.steps_per_execution
        self._steps.begin_batches(batches * self._followed.updates)

    def on_test_begin(self, logs=None):
        # Validation must see the masks that a checkpoint saves.
        if self._resolved:
            self._settle()
            self._act(self._steps.catch_up())

    def on_epoch_end(self, epoch, logs=None):
        self._settle()
        self._act(self._steps.catch_up())
        if logs is not None:
            self._outcome.end_epoch(self.model, logs)

    def on_train_end(self, logs=None):
        self._settle()
        if self._resolved:
            self._say(current_fit())
        self._outcome.end()
        detach(self, self.model)
        self._kernels.end()
        self._resolved = False

    def _steps_done(self) -> int:
        return int(read(self._followed.optimizer.iterations))

    def _track_steps(self):
        since, self._since = self._since, None
        period = self._period if self._kernels.kernels else None
        self._steps = StepTracker(period, self._steps_done, since)

    def _settle(self, compare: bool = False):
        """Bring all in line with what others have written since the last step.

        Args:
            compare: Boolean, whether to look at all masks, also for writes
                that are not seen.
        """
        written = self._kernels.written()
        if compare:
            written |= self._kernels.differing()
        if not written:
            return
        before = self._kernels.masks
        self._kernels.read_masks()
        self._agree(written)
        self._kernels.settle(before, self.algorithm.backward(self._state))
        if self._since is not None or not self._steps.follows():
            self._track_steps()

    def _agree(self, written: set[str]):
        """Let the state agree with kernels, some of them written by others."""
        if self._given is not None:
            (self._since, state), self._given = self._given, None
            if self._since is not None and self._since > self._steps_done():
                # The file's masks, in a training that counts from new.
                self._since = None
            self._state, written, self._first = dict(state), set(), 0
            counted = self._state.pop(TOTALS, self._outcome.totals)
            self._outcome.restore(counted)
        layers = self._kernels.layers()
        # Layers that did not train before have no state yet.
        state = {**self.algorithm.init(layers), **(self._state or {})}
        self._state = self.algorithm.adopt(
            {key: layers[key] for key in layers if key in written}, state
        )

    def _say(self, fit: CurrentFit | None):
        """Warn of what was asked for and has not happened."""
        last, total = self._steps_done(), self.total_steps
        if total is not None and last < total and not self.model.stop_training:
            return
        masks = masks_to_come(self, self._kernels, fit)
        steps = (self._first, last)
        self._outcome.warn(
            self.algorithm, self._period, steps, masks, self._state or {}
        )

    def _prepare(self, fit: CurrentFit | None) -> tuple[Masks, set[str]]:
        """Find kernels and make gradient functions, once a compiled model.

        Returns:
            Tuple of the masks that were there before, and the keys of kernels
            that others have written since the last `fit`.
        """
        model, algorithm = self.model, self.algorithm
        check_order(fit.callbacks if fit else (), self)
        for one, its in follow_together(self, Reallocation, fit):
            one._followed = its
        optimizer, kernels, _ = self._followed
        has_data = self.dataset is not None
        check_training(algorithm, model, self._followed, has_data)
        trained = [id(kernel.trained) for kernel in kernels]
        known = self._compiled[2] if self._compiled else []
        if known and trained and {*known}.isdisjoint(trained):
            # What is known is of another model.
            self._compiled, self._state = (), None
            self._outcome.clear()
        written = set()
        if self._compiled:
            self._kernels.renew()
            written = self._kernels.written()
        used = fit and (fit.class_weight, fit.batch_size)
        compiled = (model, optimizer, trained, model.run_eagerly, used)
        if self._compiled != compiled:
            self._compiled = compiled
            self._kernels = SparseKernels(model, optimizer, kernels, algorithm)
            self._gradients = EventGradients(
                algorithm, model, self._followed, self.dataset, fit, self.seed
            )
        before = self._kernels.masks
        self._kernels.read_masks()
        return before or self._kernels.masks, written

    def _start(self):
        """Initialize the state, and the masks if the algorithm chooses them."""
        if self._source:
            copy_source(self.model, self._source, self.algorithm)
            self._kernels.read_masks()
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

    def _event(self, step: int) -> Event:
        number = self._period.number(step)
        return Event(step, number, self._period, self._length)

    def _act(self, due: int | None):
        if due is not None:
            self._reallocate(self._event(due))

    def _gather(self, number: int) -> dict[str, LayerState]:
        return self._kernels.layers(*self._gradients.read(number))

    def _reallocate(self, event: Event):
        seed = fold_in(self.seed, "reallocation", event.step)
        before = self._kernels.masks if self.on_event is not None else {}
        if done := self._kernels.act(self._state, event, seed):
            self._state, moved = done
            self._outcome.add(event.step, moved)
            changes = self._changes(before) if before else []
        else:
            changes = self._move(event, seed)
            self._outcome.add(event.step, changes)
        if self.on_event is not None:
            self.on_event(event.step, changes)

    def _move(self, event: Event, seed: int) -> list[Change]:
        """Let the algorithm decide on arrays, and write what it decides."""
        algorithm, now = self.algorithm, {"event": event, "seed": seed}
        layers = self._gather(event.number)
        layers = algorithm.perturb(layers, self._state, **now)
        masks, self._state = self._decided(
            lambda: algorithm.update(layers, self._state, **now)
        )
        values = algorithm.values(layers, masks, self._state, seed=seed)
        self._kernels.write(masks, values, algorithm.backward(self._state))
        return self._changes({key: one.mask for key, one in layers.items()})

    def _changes(self, before: Masks) -> list[Change]:
        after = self._kernels.masks
        return [
            Change(kernel, before[kernel.key], after[kernel.key])
            for kernel in self._kernels.kernels
        ]
