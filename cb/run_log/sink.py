"""The interface of a sink, and the log that passes values on to several."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def named(values: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return values with their part before their names, unless it is "train".

    Args:
        values: Dict of name to value.
        part: String, as in `Sink.scalars`.
    """
    prefix = "" if part == TRAIN else f"{part}/"
    return {prefix + name: value for name, value in values.items()}


class Sink:
    """A destination of logged values.

    Every value has a step, a name and the part of the run that it belongs
    to. A subclass overrides the methods for what it can show; the others
    ignore their values.
    """

    def scalars(
        self, step: int, values: Mapping[str, float], part: str = TRAIN
    ) -> None:
        """Log numbers.

        Args:
            step: Integer, optimizer steps done.
            values: Dict of name to number.
            part: String, such as `"train"` or `"validation"`.
        """

    def histograms(
        self, step: int, values: Mapping[str, Any], part: str = TRAIN
    ) -> None:
        """Log distributions.

        Args:
            step: Integer, optimizer steps done.
            values: Dict of name to an array of any shape.
            part: String, as in `scalars`.
        """

    def images(
        self, step: int, values: Mapping[str, Any], part: str = TRAIN
    ) -> None:
        """Log images.

        Args:
            step: Integer, optimizer steps done.
            values: Dict of name to a uint8 array `(height, width, channels)`.
            part: String, as in `scalars`.
        """

    def hyperparameters(
        self,
        values: Mapping[str, Any],
        trial: str | None = None,
        part: str = ".",
        metrics: Iterable[tuple[str, str]] = (),
        first: Collection[str] = (),
        command: str = "",
    ) -> None:
        """Log what a training was configured with.

        Args:
            values: Dict of name to value; anything but a number or a Boolean
                is logged as text.
            trial: String, the name of the training, which no other one may
                have; by default that of its folder.
            part: String, the part whose subparts hold its results.
            metrics: Iterable of tuples of a part and the name of a number in
                it, to show beside the values.
            first: Names of the values that matter most.
            command: String, the command of the training.
        """

    def results(self, step: int, values: Mapping[str, float]) -> None:
        """Log the scores of a finished training on the test examples.

        Args:
            step: Integer, optimizer steps done.
            values: Dict of name to number.
        """

    def position(self) -> dict[str, int]:
        """Return what a checkpoint has to hold for `resume`."""
        return {}

    def resume(self, position: Mapping[str, Any]) -> None:
        """Forget what was logged after a checkpoint.

        Args:
            position: Dict with the `step` of the checkpoint and what
                `position` returned then.
        """

    def close(self) -> None:
        """Release files; logging again reopens them."""


class RunLog(Sink):
    """Passes everything that is logged on to each of several sinks.

    Args:
        sinks: Iterable of `Sink`; with none, nothing is logged.
    """

    def __init__(self, sinks: Iterable[Sink]):
        self._sinks = list(sinks)

    def scalars(self, step, values, part=TRAIN):
        for sink in self._sinks:
            sink.scalars(step, values, part)

    def histograms(self, step, values, part=TRAIN):
        for sink in self._sinks:
            sink.histograms(step, values, part)

    def images(self, step, values, part=TRAIN):
        for sink in self._sinks:
            sink.images(step, values, part)

    def hyperparameters(
        self, values, trial=None, part=".", metrics=(), first=(), command=""
    ):
        for sink in self._sinks:
            sink.hyperparameters(values, trial, part, metrics, first, command)

    def results(self, step, values):
        for sink in self._sinks:
            sink.results(step, values)

    def position(self):
        found: dict[str, int] = {}
        for sink in self._sinks:
            found |= sink.position()
        return found

    def resume(self, position):
        for sink in self._sinks:
            sink.resume(position)

    def close(self):
        for sink in self._sinks:
            sink.close()
