"""Bundles of a model's layers, while it trains."""

import csv
import io
import pathlib

import keras
import numpy as np
import tensorflow as tf

from cb.bundles.entropy import PUBLISHED_EPSILON
from cb.bundles.history import heat_map
from cb.bundles.history import integral
from cb.bundles.history import long_form
from cb.bundles.inputs import check_step
from cb.callbacks.slots import inner
from cb.distribute import collectives
from cb.distribute.variables import read
from cb.errors import InputError
from cb.files import replacing
from cb.metrics.recorder import Measurement
from cb.metrics.recorder import Recorder
from cb.metrics.samples import sample
from cb.registry import unknown
from cb.runs.metrics_csv import CONFLICTS_HEADER
from cb.schedules import PeriodicSchedule
from cb.schedules import StepTracker

# What the optimizer may be asked for.
RATES = ("current", "highest")


class BundleMonitor(keras.callbacks.Callback):
    """Measures which layers have examples of several classes in a bundle.

    Args:
        data: Tuple `(x, labels)` of arrays, or a batched `tf.data.Dataset`
            in a deterministic order: training examples, not augmented. A
            fixed part of them is used.
        batch_size: Integer, examples of a training step.
        layers: `"all"`, `"last"`, `"branches"`, or a pattern of layer names
            or a list of them. `"all"` means the blocks of a model of the
            zoo, and for other models whatever layers with kernels take as
            inputs; `"branches"` what residual blocks of the zoo add to
            their shortcuts.
        every: String such as `"1ep"`, a number of epochs, or an integer
            number of optimizer steps.
        num_samples: Integer, how many examples.
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
        num_classes: Integer, to check labels. Defaults to what they say.
        seed: Integer, decides which examples are used.
        log_dir: String, where TensorBoard finds counts and entropies and a
            picture of entropy over layers and time.
        path: String, a CSV file with rows `checkpoint,layer,name,value`,
            where a checkpoint is the number of optimizer steps. It is
            written anew at each check.

    Attributes:
        steps: List of integers, optimizer step of every check so far.
        measurements: List of lists of `Measurement`, one list a check.

    The logs of an epoch get `bundle_entropy`, of the last layer measured.

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
        data,
        batch_size,
        layers="all",
        every="1ep",
        num_samples=512,
        learning_rate="highest",
        amplitude="layer",
        epsilon=PUBLISHED_EPSILON,
        memory=2**28,
        num_classes=None,
        seed=0,
        log_dir=None,
        path=None,
    ):
        super().__init__()
        named = learning_rate in RATES
        if isinstance(learning_rate, str) and not named:
            raise unknown("learning rate", learning_rate, RATES)
        check_step(1.0 if named else learning_rate, batch_size)
        self.batch_size = batch_size
        self.layers = layers
        self.every = every
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
        self._writer = None
        self._highest = 0.0

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
        self._highest = float(state["highest_learning_rate"])
        self.steps = state["steps"].tolist()
        self.measurements = [
            [Measurement(*item) for item in zip(layers, *row, strict=True)]
            for row in zip(
                state["counts"].tolist(),
                state["entropies"].tolist(),
                strict=True,
            )
        ]

    def on_train_begin(self, logs=None):
        self._recorder = Recorder(
            self.model, self.layers, self.amplitude, self.memory
        )
        # Mistakes show before the first step.
        self._recorder.names(self._x)
        self._steps = StepTracker(
            self._period, lambda: int(read(self.model.optimizer.iterations))
        )
        self._read_rate()
        writes = collectives.is_chief(self.model.distribute_strategy)
        if self.log_dir is not None and writes:
            self._writer = tf.summary.create_file_writer(str(self.log_dir))

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
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def check(self) -> list[Measurement]:
        """Measure now, note and write the result, and return it."""
        optimizer = inner(self.model.optimizer)
        learning_rate = self._read_rate()
        if self.learning_rate != "current":
            # A warm-up that has not begun says nothing of the network.
            check_step(learning_rate, self.batch_size)
        # The statistics of a worker are its own between two epochs, and what
        # is measured may decide what becomes of the training.
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
        self.steps.append(int(read(optimizer.iterations)))
        self.measurements.append(measured)
        if collectives.is_chief(self.model.distribute_strategy):
            self._write()
        return measured

    def _read_rate(self) -> float:
        current = float(read(inner(self.model.optimizer).learning_rate))
        self._highest = max(self._highest, current)
        rates = {"current": current, "highest": self._highest}
        return rates.get(self.learning_rate, self.learning_rate)

    def _names(self) -> list[str]:
        return [m.layer for m in self.measurements[-1]] if self.steps else []

    def _table(self, field: str) -> np.ndarray:
        return np.array(
            [[getattr(m, field) for m in row] for row in self.measurements],
            np.float64,
        )

    def _write(self):
        if self.path is not None:
            rows = long_form(
                self.steps,
                self._names(),
                self._table("bundles"),
                self._table("entropy"),
            )
            write_csv(self.path, rows)
        if self._writer is not None:
            self._summarise()

    def _summarise(self):
        with self._writer.as_default(self.steps[-1]):
            summarise(
                self.measurements[-1],
                self._table("entropy"),
                int(self._labels.max()) + 1,
            )
        self._writer.flush()


def summarise(measured: list[Measurement], entropies, num_classes: int) -> None:
    """Write a check to the default writer of TensorBoard, at its step.

    Args:
        measured: List of `Measurement`, one a layer.
        entropies: Float array `(checks, layers)`, of this and all checks
            before.
        num_classes: Integer.
    """
    for item in measured:
        prefix = f"bundles/{item.layer}"
        tf.summary.scalar(f"{prefix}/count", item.bundles)
        tf.summary.scalar(f"{prefix}/entropy", item.entropy)
    image = heat_map(entropies, float(np.log(num_classes)))
    tf.summary.image("bundles/entropy_over_time", image[None])


def write_csv(path, rows) -> None:
    """Write rows `(checkpoint, layer, name, value)` to a file, at once.

    Args:
        path: String or path; missing folders are made.
        rows: Iterable of tuples.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(CONFLICTS_HEADER)
    writer.writerows(rows)
    with replacing(path) as opened:
        opened.write(text.getvalue().encode("utf-8"))


def _times(every):
    """Split a period into epochs or a `PeriodicSchedule` of steps."""
    if isinstance(every, str) and every.endswith("ep"):
        if every[:-2].isdecimal() and int(every[:-2]) > 0:
            return int(every[:-2]), None
    elif isinstance(every, int) and every > 0 and every is not True:
        return None, PeriodicSchedule(every, 1, 2**62)
    raise InputError(
        "Argument `every` must be a positive integer number of steps or of "
        f"epochs, such as '1ep'. Received: every={every!r}"
    )
