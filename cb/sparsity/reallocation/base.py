"""The interface of reallocation algorithms."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import ClassVar
from typing import NamedTuple

import numpy as np

from cb.registry import check_arguments
from cb.schedules import PeriodicSchedule
from cb.schedules import TrainingLength
from cb.sparsity.rules import Rule


class LayerState(NamedTuple):
    """An algorithm's view of one layer.

    Attributes:
        weights: Float array, the kernel.
        mask: Boolean array of the same shape, true where active.
        gradients: Float array of the same shape, the gradient of the loss
            with respect to the masked kernel, for active and inactive
            positions; `None` unless the algorithm needs gradients.
        momentum: Float array of the same shape, the optimizer's smoothed
            gradient up to a factor; `None` unless the algorithm needs it.
        curvature: Float array of the same shape, the Hessian of the loss
            times its gradient; `None` unless the algorithm needs it.
    """

    weights: np.ndarray
    mask: np.ndarray
    gradients: np.ndarray | None = None
    momentum: np.ndarray | None = None
    curvature: np.ndarray | None = None


class Event(NamedTuple):
    """A reallocation event.

    Attributes:
        step: Integer, the optimizer step that makes it due.
        number: Integer, the number of events before it.
        period: `PeriodicSchedule` of the events.
        training_length: `TrainingLength`, the length of the training.
    """

    step: int
    number: int
    period: PeriodicSchedule
    training_length: TrainingLength = TrainingLength()


class WeightPenalty(NamedTuple):
    """Penalty on the weights of one layer, added to the loss.

    Attributes:
        absolute: Float, factor of the sum of absolute active weights.
        active: Float, factor of half the sum of squared active weights.
        inactive: Float, the same for the inactive weights that train.
    """

    absolute: float = 0.0
    active: float = 0.0
    inactive: float = 0.0


class FlopFactors(NamedTuple):
    """Arithmetic cost, in forward passes of the model.

    A training step is three: forward, gradients of the activations and
    gradients of the weights.

    Attributes:
        sparse: Float, forward passes with the active weights.
        dense: Float, forward passes with all weights.
    """

    sparse: float = 0.0
    dense: float = 0.0


Layers = Mapping[str, LayerState]
Masks = dict[str, np.ndarray]
State = dict[str, np.ndarray]


class Algorithm:
    """Decides which connections are active; pure, all layers at once.

    Subclasses are frozen dataclasses whose annotated fields are their
    hyperparameters; values that an annotation does not allow are refused.
    The masks that training starts from are the budget: algorithms that
    choose their own connections keep as many. A subclass declares, and the
    contract test checks:

    - `needs_gradients`, `needs_curvature`, `needs_momentum`: that field of
      `LayerState` must be given.
    - `at_start`: `initial_masks` chooses them before the first step.
    - `straight_through`: training itself uses gradients of all weights.
    - `every_step`: an event follows every optimizer step.
    - `keeps_count`: the number of active connections never changes.
    - `keeps_layer_counts`: nor does that of any layer.
    - `zero_inactive`: inactive weights are zero after every step.
    - `gradual`: events reach a sparsity little by little.

    `update` on whole arrays can cost more than a step of a small model. With
    `rules`, or `positions` and `move_active`, a graph does the same instead.
    """

    needs_gradients: ClassVar[bool] = False
    needs_curvature: ClassVar[bool] = False
    needs_momentum: ClassVar[bool] = False
    at_start: ClassVar[bool] = False
    straight_through: ClassVar[bool] = False
    every_step: ClassVar[bool] = False
    keeps_count: ClassVar[bool] = True
    zero_inactive: ClassVar[bool] = True
    gradual: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # What a class does in another way, a graph must not do in the old one.
        changed = {"perturb", "update", "values"} & vars(cls).keys()
        for name in ("rules", "positions"):
            if changed and name not in vars(cls):
                setattr(cls, name, getattr(Algorithm, name))

    def __post_init__(self):
        check_arguments(type(self), **vars(self))

    @property
    def keeps_layer_counts(self) -> bool:
        """Whether no layer's number of active connections ever changes."""
        return False

    @property
    def sees_blocks(self) -> bool:
        """Whether mean magnitudes of blocks can stand for weights."""
        return False

    # The number of batches that the gradients of an event are averaged over.
    num_batches: int = 1
    # Whether gradients are those of a probe batch, `"probe"`, or of the step
    # that makes an event due, `"step"`; with `"running"` the optimizer skips
    # the update of that step.
    gradients: str = "probe"
    # Whether optimizer slots of moved connections start afresh.
    reset_momentum: bool = True
    # The run to copy masks from, and whether to copy its initial weights.
    copy_mask_from: str | None = None
    initial_weights: bool = False

    def total_epochs(self) -> int | None:
        """Return the number of epochs that training must have, or `None`."""
        return None

    @property
    def noise_on_gradients(self) -> bool:
        """Whether `gradient_noise` is ever more than zero."""
        return False

    def gradient_noise(self, event: Event) -> float:
        """Return the standard deviation of noise on active weights' gradients.

        Args:
            event: `Event` of the step that the gradients are for.
        """
        del event
        return 0.0

    def period(
        self, training_length: TrainingLength
    ) -> PeriodicSchedule | None:
        """Return the schedule of events in a training, `None` for no events.

        Args:
            training_length: `TrainingLength`, the length of the training.

        Raises:
            InputError: If a time cannot be resolved.
        """
        raise NotImplementedError

    def start_passes(self) -> FlopFactors:
        """Return the cost of choosing the first masks, for each example."""
        if not (self.at_start and self.needs_gradients):
            return FlopFactors()
        # The product with the Hessian differentiates the three passes again.
        number = 9 if self.needs_curvature else 3
        return FlopFactors(dense=number * self.num_batches)

    def step_passes(self) -> FlopFactors:
        """Return the cost of a training step, for each example."""
        if self.straight_through:
            return FlopFactors(sparse=2, dense=1)
        return FlopFactors(sparse=3)

    def event_passes(self) -> FlopFactors:
        """Return the cost of an event besides the step, for each example."""
        if self.needs_gradients:
            return FlopFactors(2 * self.num_batches, self.num_batches)
        return FlopFactors()

    def mean_density(
        self, density: float, training_length: TrainingLength
    ) -> float:
        """Return the average density of a layer over a training.

        Args:
            density: Float in (0, 1], the final density.
            training_length: `TrainingLength`, the length of the training.
        """
        del training_length
        return density

    def init(self, layers: Layers) -> State:
        """Return the state before the first event.

        Args:
            layers: Dict of layer key to `LayerState`.

        Returns:
            Dict of name to array, saved with every checkpoint.
        """
        del layers
        return {}

    def adopt(self, layers: Layers, state: State) -> State:
        """Return a state that agrees with what somebody else has written.

        Weights and masks of these layers were assigned between two steps,
        such as those of an earlier epoch, without the state of that time.

        Args:
            layers: Dict of layer key to `LayerState`, as they are now.
            state: Dict of name to array, from `init` or the last `update`.

        Returns:
            Dict of name to array; by default, the state as it is.
        """
        del layers
        return state

    def initial_masks(
        self, layers: Layers, state: State, *, seed: int
    ) -> tuple[Masks, State]:
        """Return the masks that training starts from; needs `at_start`.

        Args:
            layers: Dict of layer key to `LayerState`; gradients are those
                of the dense model.
            state: Dict of name to array, from `init`.
            seed: Integer.

        Returns:
            Tuple of a dict of layer key to boolean array and the new state.
            Weights keep their values.
        """
        raise NotImplementedError

    def penalties(self, layers: Layers) -> dict[str, WeightPenalty]:
        """Return penalties by layer key; none by default."""
        del layers
        return {}

    def perturb(
        self, layers: Layers, state: State, *, event: Event, seed: int
    ) -> Layers:
        """Return the layers with the noise of the last step added.

        Args:
            layers: Dict of layer key to `LayerState`.
            state: Dict of name to array, from `init` or the last `update`.
            event: `Event`.
            seed: Integer, that of the `update` that follows.

        Returns:
            Dict of layer key to `LayerState`; unchanged by default.
        """
        del state, event, seed
        return layers

    def update(
        self, layers: Layers, state: State, *, event: Event, seed: int
    ) -> tuple[Masks, State]:
        """Return the masks and the state after an event.

        Args:
            layers: Dict of layer key to `LayerState`.
            state: Dict of name to array, from `init` or the last `update`.
            event: `Event`.
            seed: Integer, a function of the run's seed and the step.

        Returns:
            Tuple of a dict of layer key to boolean array and the new state.
        """
        raise NotImplementedError

    def rules(self, keys: Iterable[str], state: State) -> dict[str, Rule]:
        """Return how an event selects, if by the size of weights alone.

        Args:
            keys: Layer keys.
            state: Dict of name to array, which events leave as it is.

        Returns:
            Dict of layer key to `Rule`, for all layers; by default for none.
        """
        del keys, state
        return {}

    def positions(
        self, keys: Iterable[str], state: State
    ) -> dict[str, np.ndarray]:
        """Return the active positions, if an event needs no other weights.

        Args:
            keys: Layer keys.
            state: As in `rules`.

        Returns:
            Dict of layer key to integer array of flat positions, for all layers
            or none. Their number never changes; other weights are zero.
        """
        del keys, state
        return {}

    def move_active(
        self,
        weights: Mapping[str, np.ndarray],
        masks: Masks,
        state: State,
        *,
        event: Event,
        seed: int,
    ) -> tuple[dict[str, np.ndarray], Masks, State]:
        """Do what `perturb`, `update` and `values` do, on active weights only.

        Args:
            weights: Dict of layer key to float32 array, at the `positions`.
            masks: Dict of layer key to boolean array.
            state: Dict of name to array.
            event: `Event`.
            seed: Integer, the seed of the event.

        Returns:
            Tuple of the weights at the new positions, masks and state.
        """
        raise NotImplementedError

    def values(
        self, layers: Layers, masks: Masks, state: State, *, seed: int
    ) -> dict[str, np.ndarray]:
        """Return new weights, for algorithms that do more than mask.

        By default there are none: kept connections keep their weights and
        grown ones start at zero.

        Args:
            layers: Dict of layer key to `LayerState`, as given to `update`.
            masks: Dict of layer key to boolean array, from `update`.
            state: Dict of name to array, from `update`.
            seed: Integer, the seed of the event.

        Returns:
            Dict of layer key to float array of the shape of the kernel, of
            which only active positions count; for all layers or for none.
        """
        del layers, masks, state, seed
        return {}

    def backward(self, state: State) -> Masks:
        """Return the sets of weights that train under `straight_through`.

        Args:
            state: Dict of name to array, from `init`, `initial_masks` or the
                last `update`.

        Returns:
            Dict of layer key to boolean array; empty if all weights train.
        """
        del state
        return {}

    def metrics(self, state: State) -> dict[str, float]:
        """Return metrics of the state to log, name to number."""
        del state
        return {}

    def unreached(self, masks: Masks, state: State, events: int) -> str:
        """Return a sentence about a goal that is missed at the end, or `""`.

        Args:
            masks: Dict of layer key to boolean array, when training ends.
            state: Dict of name to array, at that time.
            events: Integer, those of its period that were due until then.
        """
        del masks, state, events
        return ""
