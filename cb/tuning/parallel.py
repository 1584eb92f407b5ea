"""Parallel coordinates: every trial as a line over its values."""

import math
from collections.abc import Sequence

import numpy as np

from cb.plots.figure import Figure
from cb.plots.figure import Trace
from cb.tuning.reading import Sweep

MOST_LINES = 300
UNSET = -0.12


def parallel_figure(sweeps: Sequence[Sweep]) -> Figure:
    """Show the hyperparameters and objectives of each point as a line.

    Args:
        sweeps: Sequence of `Sweep`.

    Returns:
        `Figure`, a row for each hyperparameter and objective.
    """
    columns = sweeps[0].columns
    parameters = {one.name: one for s in sweeps for one in s.space.parameters}
    rows = [*parameters, *columns]
    everything = [
        [{**point.values, **point.means} for point in sweep.points]
        for sweep in sweeps
    ]
    scales = [
        _Scale([p[name] for points in everything for p in points if name in p])
        for name in rows
    ]
    behind: list[Trace] = []
    on_top: list[Trace] = []
    for place, (sweep, points) in enumerate(
        zip(sweeps, everything, strict=True)
    ):
        layers, items = sweep.layers(), sweep.items()
        for number in np.argsort(layers, kind="stable")[:MOST_LINES]:
            front = layers[number] == 0
            values = [points[number].get(name) for name in rows]
            line = Trace(
                x=[*map(_Scale.place, scales, values)],
                y=range(len(rows)),
                label=f"{sweep.label}: the front" if front else "",
                look=place if front or sweeps[1:] else None,
                faint=not front,
                items=items[number],
            )
            (on_top if front else behind).append(line)
    return Figure(
        name="parallel",
        title="Parallel coordinates",
        x="",
        traces=[*behind, *on_top],
        rows=rows,
        notes=[
            (place, row, text)
            for row, scale in enumerate(scales)
            for place, text in scale.ticks()
        ],
        caption="Strong: the front. Left of a row: not used by the trial.",
    )


class _Scale:
    """Places of values between 0 and 1.

    Args:
        values: Sequence of numbers, or of any values of a choice. Positive
            numbers that span a factor of a hundred have a logarithmic scale.
    """

    def __init__(self, values: Sequence):
        self._names: list[str] = []
        self._log = False
        if all(isinstance(value, int | float) for value in values):
            self._ends = (min(values, default=0), max(values, default=0))
            low, high = self._ends
            self._log = low > 0 and high > 100 * low
        else:
            self._names = sorted({*map(str, values)})

    def place(self, value) -> float:
        """Return the place of a value; `UNSET` for `None`."""
        if value is None:
            return UNSET
        if self._names:
            places = max(len(self._names) - 1, 1)
            return self._names.index(str(value)) / places
        number = math.log if self._log else float
        low, high = map(number, self._ends)
        return (number(value) - low) / (high - low) if high > low else 0.0

    def ticks(self) -> list[tuple[float, str]]:
        """List places with their names: all of a choice, else both ends."""
        if self._names:
            return [(self.place(name), name) for name in self._names]
        ends = [*dict.fromkeys(self._ends)]
        return [(self.place(end), f"{end:.3g}") for end in ends]
