"""Measures the bundles of a model's layers while it trains."""

import os
import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from cb.bundles.entropy import PUBLISHED_EPSILON
from cb.bundles.history import COLOURS
from cb.bundles.history import NOT_FINITE
from cb.bundles.history import heat_map
from cb.bundles.history import integral
from cb.bundles.history import long_form
from cb.bundles.inputs import check_step
from cb.callbacks.figure import SIDE
from cb.callbacks.figure import Axis
from cb.callbacks.figure import framed
from cb.callbacks.slots import inner
from cb.callbacks.slots import steps_done
from cb.distribute import collectives
from cb.distribute.variables import read
from cb.errors import InputError
from cb.metrics.recorder import Measurement
from cb.metrics.recorder import Recorder
from cb.metrics.samples import sample
from cb.registry import unknown
from cb.run_log import Sink
from cb.run_log.tensorboard import TensorBoard
from cb.runs.long_csv import CONFLICTS_HEADER
from cb.runs.long_csv import LongCsv
from cb.schedules import PeriodicSchedule
from cb.schedules import StepTracker

# Learning rates that are read from the optimizer.
RATES = ("current", "highest")


class BundleMonitor(keras.callbacks.Callback):
    """Measures which layers put examples of several classes in one bundle.

    The logs of an epoch get `bundle_entropy`, that of the last layer measured.

    Args:
        data: Tuple `(x, labels)` of arrays, or a batched `tf.data.Dataset`
            in a deterministic order: training examples, not augmented. A
            fixed sample of them is used.
        batch_size: Integer, examples of a training step.
        layers: `"all"`, `"last"`, `"branches"`, or a pattern of layer names
            or a list of them. `"all"` means the blocks of a model of the
            zoo, and for other models the inputs of all layers with kernels;
            `"branches"` what residual blocks of the zoo add to their
            shortcuts.
        every: String such as `"1ep"`, a number of epochs; an integer number
            of optimizer steps; or `None`, to measure only when `check` is
            called.
        num_samples: Integer, size of the sample.
        learning_rate: Float, of the training step; or `"highest"`, the
            highest that the optimizer has had at the start and the checks;
            or `"current"`, the one it has at the check. The default is the
            highest: the papers train with a constant one, and where a
            schedule ends at zero, no step could tell any examples apart.
        amplitude: `"layer"` for the kernels that the activations meet next,
            or `"model"` for all trainable weights, as published.
        epsilon: Float, added to probabilities under the logarithm; `0` for
            the exact entropy.
        memory: Integer, bytes that activations may take at a time.
        num_classes: Integer, to check labels. Defaults to one more than the
            largest label.
        seed: Integer, decides which examples are sampled.
        log_dir: String, folder of TensorBoard for counts, entropies and an
            image of the entropy over layers and time.
        path: String, a CSV file with rows `checkpoint,layer,name,value`,
            where a checkpoint is the number of optimizer steps. It is
            rewritten at each check.

    Attributes:
        steps: List of integers, optimizer step of every check so far.
        measurements: List of lists of `Measurement`, one list a check.

    Raises:
        InputError: If an argument is wrong, there are fewer examples than
            asked for, or the model has nothing to record.

    Example:

    >>> monitor = cb.callbacks.BundleMonitor((x_train, y_train), 64)
    >>> model.fit(x_train, y_train, batch_size=64, callbacks=[monitor])
    >>> monitor.integral()

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    """

    def __init__(
        self,
        data: tuple | tf.data.Dataset,
        batch_size: int,
        layers: str | Sequence[str] = "all",
        every: str | int | None = "1ep",
        num_samples: int = 512,
        learning_rate: float | str = "highest",
        amplitude: str = "layer",
        epsilon: float = PUBLISHED_EPSILON,
        memory: int = 2**28,
        num_classes: int | None = None,
        seed: int = 0,
        log_dir: str | os.PathLike[str] | None = None,
        path: str | os.PathLike[str] | None = None,
    ):
        super().__init__()
        named = learning_rate in RATES
        if isinstance(learning_rate, str) and not named:
            raise unknown("learning rate", learning_rate, RATES)
        check_step(1.0 if named else learning_rate, batch_size)
        self.batch_size = batch_size
        self.layers = layers

        self.learning_rate = learning_rate
        self.amplitude = amplitude
        self.epsilon = epsilon
        self.memory = memory
        self.num_classes = num_classes
        self.log_dir = log_dir
        self.path = path
        self.steps: list[int] = []
        self.measurements: list[list[Measurement]] = []
        self._x, self._labels = sample(data, num_samples, seed)
        self._epochs, self._period = _times(every)
        self._log = Sink()
        self._highest = 0.0
        self._of: keras.Model | None = None

    def set_model(self, model):
        super().set_model(model)
        if self._of not in (None, model):
            # What is known is of another model.
            self.steps, self.measurements, self._highest = [], [], 0.0
        self._of = model

    def integral(self) -> dict[str, float]:
        """Return the mean entropy over the checks so far, by layer."""
        if not self.steps:
            return {}
        means = integral(self._table("entropy"))
        return dict(zip(self._names(), means.tolist(), strict=True))

    def get_state(self) -> dict[str, np.ndarray]:
        """Return the checks so far, to be saved with a checkpoint."""
        return {
            "steps": np.array(self.steps, np.int64),
            "layers": np.array(self._names(), str),
            "counts": self._table("bundles").astype(np.int64),
            "entropies": self._table("entropy"),
            "highest_learning_rate": np.array(self._highest),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from saved checks."""
        layers = state["layers"].tolist()
        # Of the model that comes next.
        self._of = None
        self._highest = float(state["highest_learning_rate"])
        self.steps = state["steps"].tolist()
        counts, entropies = (
            state["counts"].tolist(),
            state["entropies"].tolist(),
        )
        self.measurements = [
            [Measurement(*item) for item in zip(layers, *row, strict=True)]
            for row in zip(counts, entropies, strict=True)
        ]

    def on_train_begin(self, logs=None):
        self._recorder = Recorder(
            self.model, self.layers, self.amplitude, self.memory
        )
        # Refuse wrong arguments before the first step.
        self._recorder.names(self._x)
        self._steps = StepTracker(self._period, lambda: steps_done(self.model))
        self._read_rate()
        if self.log_dir is not None and self._writes():
            self._log = TensorBoard(self.log_dir)

    def on_train_batch_begin(self, batch, logs=None):
        # The end of a batch would make Keras wait for the step.
        if self._steps.crossed():
            self.check()
        self._steps.begin_batches(self.model.steps_per_execution)

    def on_epoch_end(self, epoch, logs=None):
        if self._steps.catch_up():
            self.check()
        if self._epochs is not None and (epoch + 1) % self._epochs == 0:
            self.check()
        if logs is not None and self.measurements:
            logs["bundle_entropy"] = self.measurements[-1][-1].entropy

    def on_train_end(self, logs=None):
        self._log.close()

    def check(self) -> list[Measurement]:
        """Measure now; record, write and return the result."""
        learning_rate = self._read_rate()
        if self.learning_rate != "current":
            # At a rate of zero, before a warm-up, all layers would conflict.
            check_step(learning_rate, self.batch_size)
        # Between two epochs each worker has statistics of its own, but all
        # must act on the same numbers.
        measured = collectives.broadcast(
            self.model.distribute_strategy,
            lambda: self._recorder.measure(
                self._x,
                self._labels,
                learning_rate,
                self.batch_size,
                self.epsilon,
                self.num_classes,
            ),
        )
        self.steps.append(steps_done(self.model))
        self.measurements.append(measured)
        if self._writes():
            self._write()
        return measured

    def _writes(self) -> bool:
        return collectives.is_chief(self.model.distribute_strategy)

    def _read_rate(self) -> float:
        current = float(read(inner(self.model.optimizer).learning_rate))
        self._highest = max(self._highest, current)
        if self.learning_rate == "current":
            return current
        if self.learning_rate == "highest":
            return self._highest
        return float(self.learning_rate)

    def _names(self) -> list[str]:
        return [m.layer for m in self.measurements[-1]] if self.steps else []

    def _table(self, field: str) -> np.ndarray:
        return np.array(
            [[getattr(m, field) for m in row] for row in self.measurements],
            np.float64,
        )

    def _write(self):
        counts, entropies = self._table("bundles"), self._table("entropy")
        if self.path is not None:
            path = pathlib.Path(self.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = long_form(self.steps, self._names(), counts, entropies)
            LongCsv(path, CONFLICTS_HEADER).replace(rows)
        measured = self.measurements[-1]
        classes = int(self._labels.max()) + 1
        log_bundles(self._log, self.steps, measured, entropies, classes)


def log_bundles(
    log: Sink,
    steps: Sequence[int],
    measured: Sequence[Measurement],
    entropies: np.ndarray,
    num_classes: int,
    part: str = ".",
) -> None:
    """Log the numbers of a check, and a figure of all checks so far.

    Args:
        log: `Sink`.
        steps: Sequence of integers, optimizer steps done at this and at all
            checks before.
        measured: Sequence of `Measurement`, one a layer.
        entropies: Float array `(checks, layers)`.
        num_classes: Integer.
        part: String, as in `Sink.scalars`.
    """
    numbers: dict[str, float] = {}
    for layer, bundles, entropy in measured:
        numbers[f"bundles/{layer}/count"] = bundles
        numbers[f"bundles/{layer}/entropy"] = entropy
    log.scalars(steps[-1], numbers, part)
    # What a figure has room for: the last check, and some of those before.
    every = -(-len(steps) // SIDE)
    entropies = entropies[::-1][::every][::-1, :SIDE]
    checks = list(steps)[::-1][::every][::-1]
    highest = float(np.log(num_classes))
    thirds = [highest * n / (len(COLOURS) - 1) for n in range(len(COLOURS))]
    legend = [
        *zip(COLOURS, [f"{value:.2f}" for value in thirds], strict=True),
        (NOT_FINITE, "not finite"),
    ]
    figure = framed(
        heat_map(entropies, highest),
        "Bundle entropy: from 0, no conflict, to all classes in one bundle",
        Axis("optimizer steps", [*enumerate(map(str, checks))]),
        Axis("layers", [*enumerate(one.layer for one in measured[:SIDE])]),
        legend,
    )
    log.images(steps[-1], {"bundles/entropy_over_time": figure}, part)


def _times(every) -> tuple[int | None, PeriodicSchedule | None]:
    """Split a period into epochs or a `PeriodicSchedule` of steps."""
    if every is None:
        return None, None
    if isinstance(every, str) and every.endswith("ep"):
        if every[:-2].isdecimal() and int(every[:-2]) > 0:
            return int(every[:-2]), None
    elif isinstance(every, int) and every > 0 and every is not True:
        return None, PeriodicSchedule(every, 1, 2**62)
    raise InputError(
        "Argument `every` must be a positive integer number of steps or of "
        f"epochs, such as '1ep'. Received: every={every!r}"
    )
