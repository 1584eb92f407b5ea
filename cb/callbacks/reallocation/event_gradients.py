"""The gradients that an algorithm reads in its events."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from cb.callbacks.reallocation.current_fit import CurrentFit
from cb.callbacks.reallocation.followed import Followed
from cb.callbacks.reallocation.gradients import NoisyGradients
from cb.callbacks.reallocation.gradients import RunningGradients
from cb.callbacks.reallocation.probe import ProbeGradients
from cb.callbacks.reallocation.probe_batches import probe_batches
from cb.callbacks.reallocation.requirements import needs_probe
from cb.callbacks.reallocation.training_step import Held
from cb.schedules import StepTracker
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import Event

Gradients = Sequence[np.ndarray] | None


class EventGradients:
    """Gradients of probe batches or of training steps, as declared.

    Args:
        algorithm: `Algorithm`; its declarations decide what is read.
        model: Compiled Keras model.
        followed: `Followed`.
        data: Data for probe batches, as in `probe_batches`.
        fit: `CurrentFit`, or `None` if it is not known.
        seed: Integer, that of the noise.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        model: keras.Model,
        followed: Followed,
        data: Any,
        fit: CurrentFit | None,
        seed: int,
    ):
        optimizer, kernels, _ = followed
        common = (model, optimizer, kernels)
        self._algorithm = algorithm
        self._running = self._noise = None
        self._probe: ProbeGradients | None = None
        if algorithm.gradients != "probe":
            skips = algorithm.gradients == "running"
            self._running = RunningGradients(*common, skips)
        if algorithm.noise_on_gradients:
            self._noise = NoisyGradients(*common, seed)
        if needs_probe(algorithm):
            batches = probe_batches(data, fit, model)
            self._probe = ProbeGradients(
                model, kernels, batches, optimizer=optimizer
            )

    def before_batch(
        self,
        steps: StepTracker,
        act: Callable[[int | None], None],
        event: Callable[[int], Event],
    ) -> list[Held]:
        """Return what records the gradients of the next step, or adds noise.

        Args:
            steps: `StepTracker`.
            act: Callable that lets the event of a step happen, if one is due.
            event: Callable from a due step to its `Event`.

        Returns:
            List of `Held`.
        """
        held = []
        if self._running is not None and steps.within(1):
            # Overflowed steps did not count, so it may be further away.
            act(steps.catch_up())
            if steps.next == steps.step + 1:
                held.append(self._running.held())
        if self._noise is not None:
            step, deviation = steps.step + 1, 0.0
            if steps.next == step:
                deviation = self._algorithm.gradient_noise(event(step))
            self._noise.set_deviation(deviation)
            held.append(self._noise.held())
        return held

    def read(self, number: int) -> tuple[Gradients, Gradients]:
        """Return gradients and curvature for an event, `None` if not needed.

        Args:
            number: Integer, the number of events before it.
        """
        if self._running is not None:
            return self._running.read(), None
        if self._probe is None:
            return None, None
        probe, count = self._probe, self._algorithm.num_batches
        indices = range(number * count, (number + 1) * count)
        gradients = _mean([probe(index) for index in indices])
        if not self._algorithm.needs_curvature:
            return gradients, None
        return gradients, _mean(
            [probe.curvature(index, gradients) for index in indices]
        )


def _mean(batches: list[list[np.ndarray]]) -> list[np.ndarray]:
    if len(batches) == 1:
        return batches[0]
    return [np.mean(arrays, axis=0) for arrays in zip(*batches, strict=True)]
