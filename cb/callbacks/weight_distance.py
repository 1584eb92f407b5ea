"""Measures the distance of the weights from their initial values."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.slots import steps_done
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.functions import own_function
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers
from cb.optimization.diffusion import LogFit
from cb.optimization.diffusion import first_plateau
from cb.optimization.diffusion import log_fit
from cb.optimization.diffusion import next_log_step
from cb.registry import Count
from cb.registry import check_arguments
from cb.schedules import StepTracker

TOTAL = "total"


class WeightDistance(keras.callbacks.Callback):
    """Measures the distance of the weights from their initial values.

    The distance is the Euclidean norm of `w_t - w_0` over all trainable
    weights, and over those of each layer. It is measured at steps that are
    evenly spaced in the logarithm. During the first plateau of the learning
    rate it grows like `a + c * log(t)`; with the right recipe, batches of all
    sizes follow one line. The initial values are those of the first `fit`,
    and a part of the state: a resumed training measures from them too.

    Args:
        points_per_decade: Integer, measurements per tenfold increase of the
            step.
        on_record: Callable `(step, distances)` with a dict of names to
            floats, called after every measurement.
        last_step: Integer, the end of the training, to measure there too.

    Raises:
        InputError: If `points_per_decade` is not a positive integer; in
            `fit`, if a state of another model was set.

    Example:

    >>> distance = cb.callbacks.WeightDistance()
    >>> model.fit(data, epochs=10, callbacks=[distance])
    >>> distance.fit().slope

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)
    """

    def __init__(
        self,
        points_per_decade: Count = 20,
        on_record: Callable | None = None,
        last_step: Count | None = None,
    ):
        super().__init__()
        check_arguments(
            WeightDistance,
            points_per_decade=points_per_decade,
            last_step=last_step,
        )
        self.points_per_decade = points_per_decade
        self.on_record = on_record
        self.last_step = last_step
        self.names: list[str] = []
        self._initial: list[np.ndarray] | None = None
        self._steps: list[int] = []
        self._learning_rates: list[float] = []
        self._distances: list[np.ndarray] = []

    @property
    def steps(self) -> np.ndarray:
        """Optimizer steps of the measurements, array `(points,)`."""
        return np.array(self._steps, np.int64)

    @property
    def learning_rates(self) -> np.ndarray:
        """Learning rates of the updates that follow, array `(points,)`."""
        return np.array(self._learning_rates, np.float64)

    @property
    def distances(self) -> dict[str, np.ndarray]:
        """Dict of arrays `(points,)`: `"total"`, then layer by layer."""
        columns = np.array(self._distances, np.float64)
        columns = columns.reshape(len(self._steps), len(self.names))
        return dict(zip(self.names, columns.T, strict=True))

    def fit(self, name: str = TOTAL, last_step: int | None = None) -> LogFit:
        """Fit a distance by `a + c * log(step)` on the first plateau.

        Args:
            name: Key of `distances`.
            last_step: Integer, end of the plateau. Defaults to the last step
                before the learning rate leaves its highest value.

        Returns:
            `LogFit`.
        """
        if last_step is None:
            points = first_plateau(self.learning_rates)
        else:
            points = slice(0, int(np.sum(self.steps <= last_step)))
        return log_fit(self.steps[points], self.distances[name][points])

    def get_state(self) -> dict[str, np.ndarray]:
        """Return initial weights and measurements, for a checkpoint."""
        if self._initial is None:
            return {}
        columns = np.array(self._distances, np.float64)
        state = {
            "steps": self.steps,
            "learning_rates": self.learning_rates,
            "distances": columns.reshape(len(self._steps), len(self.names)),
        }
        for index, value in enumerate(self._initial):
            state[f"initial/{index}"] = value
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a saved state."""
        count = sum(key.startswith("initial/") for key in state)
        initial = [state[f"initial/{index}"] for index in range(count)]
        self._initial = initial or None
        self._steps = list(map(int, state.get("steps", ())))
        self._learning_rates = list(map(float, state.get("learning_rates", ())))
        self._distances = list(state.get("distances", ()))

    def on_train_begin(self, logs=None):
        kernels = masked_kernels(self.model)
        whole = {id(kernel.trained): kernel.weight for kernel in kernels}
        layers = [
            layer
            for layer in ordered_layers(self.model)
            if layer._trainable_variables
        ]
        self.names = [TOTAL, *_unique([layer.name for layer in layers])]
        # A weight that changes its place has moved, whatever its value.
        self._groups = [
            [whole.get(id(v), v) for v in layer._trainable_variables]
            for layer in layers
        ]
        weights = [weight for group in self._groups for weight in group]
        if self._initial is None:
            self._initial = [read(weight) for weight in weights]
        shapes = [tuple(weight.shape) for weight in weights]
        if shapes != [value.shape for value in self._initial]:
            raise InputError(
                "The state of `WeightDistance` belongs to another model. "
                f"Expected weights of the shapes {shapes}. "
                f"Received: {[value.shape for value in self._initial]}"
            )
        self._origin = [tf.constant(value) for value in self._initial]
        self._measure = own_function(self._squares, autograph=False)
        self._tracker = StepTracker(
            _LogSteps(self.points_per_decade, self.last_step or 0),
            lambda: steps_done(self.model),
        )

    def on_train_batch_begin(self, batch, logs=None):
        if self._tracker.crossed():
            self._record()
        self._tracker.begin_batches(self.model.steps_per_execution)

    def on_epoch_end(self, epoch, logs=None):
        if self._tracker.catch_up():
            self._record()

    def _record(self):
        squares = self._measure(self._origin).numpy()
        distances = np.sqrt(np.array([squares.sum(), *squares]))
        step = self._tracker.step
        self._steps.append(step)
        rate = float(read(self.model.optimizer.learning_rate))
        self._learning_rates.append(rate)
        self._distances.append(distances)
        if self.on_record is not None:
            pairs = zip(self.names, map(float, distances), strict=True)
            self.on_record(step, dict(pairs))

    def _squares(self, origin):
        origin = iter(origin)
        squares = [
            tf.add_n([_square(weight, next(origin)) for weight in group])
            for group in self._groups
        ]
        return tf.stack(squares)


class _LogSteps(NamedTuple):
    """Steps evenly spaced in the logarithm, as a schedule of a tracker."""

    points_per_decade: int
    last_step: int

    def next(self, step: int) -> int:
        """Return the first due step after `step`."""
        following = next_log_step(step, self.points_per_decade)
        last = self.last_step
        return min(following, last) if step < last else following

    def due(self, previous: int, step: int) -> int | None:
        """Return `step` if one after `previous` has become due."""
        return step if step >= self.next(previous) else None


def _square(weight, origin):
    difference = tf.convert_to_tensor(weight.value) - origin
    return tf.reduce_sum(tf.cast(difference, tf.float64) ** 2)


def _unique(names):
    """Append a number to each name that occurs more than once."""
    used = {name for name in names if names.count(name) == 1} | {TOTAL}
    found = []
    for name in names:
        number, unique = 0, name
        if names.count(name) > 1 or name == TOTAL:
            while (unique := f"{name}_{number}") in used:
                number += 1
        used.add(unique)
        found.append(unique)
    return found
