"""Pictures in TensorBoard are figures of bounded size."""

import types

import numpy as np
import pytest

from cb.callbacks.bundle_monitor import log_bundles
from cb.callbacks.figure import CELL
from cb.callbacks.figure import SIDE
from cb.callbacks.figure import Axis
from cb.callbacks.figure import framed
from cb.callbacks.pictures import DROPPED
from cb.callbacks.pictures import GROWN
from cb.callbacks.pictures import change_figure
from cb.callbacks.reallocation.outcome import Change
from cb.metrics.recorder import Measurement
from cb.run_log import Sink

LARGEST = SIDE + 300


def count(figure, colour):
    return int((figure == np.array(colour, np.uint8)).all(axis=-1).sum())


def change(shape, seed=0):
    before, after = np.random.default_rng(seed).random((2, *shape)) < 0.2
    kernel = types.SimpleNamespace(name="hidden", mask=after)
    return Change(kernel, before, after)


@pytest.mark.parametrize("shape", [(12, 7), (3, 3, 4, 8), (32, 32)])
def test_every_connection_that_changed_has_its_colour(shape):
    found = change(shape)
    figure = change_figure(found, 100)
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    cell = min(SIDE // rows, CELL) * min(SIDE // columns, CELL)
    # The legend has a box of either colour, one pixel of its edge black.
    legend = 11 * 11
    assert count(figure, DROPPED) == found.dropped * cell + legend
    assert count(figure, GROWN) == found.grown * cell + legend
    # Title, ticks, names and legend are black.
    assert count(figure, (0, 0, 0)) > 2 * (rows + columns)


@pytest.mark.parametrize("shape", [(4000, 3), (3, 3, 512, 700), (1, 1)])
def test_the_size_of_a_figure_is_bounded(shape):
    figure = change_figure(change(shape), 100)
    assert figure.dtype == np.uint8
    assert max(figure.shape) <= LARGEST


class Pictures(Sink):
    """Keeps the last images."""

    def images(self, step, values, part="train"):
        self.step, self.found = step, values


@pytest.mark.parametrize("checks, layers", [(1, 1), (3, 20), (3000, 60)])
def test_bundles_of_all_checks_are_a_figure(checks, layers):
    entropies = np.zeros((checks, layers))
    entropies[-1] = np.log(10)
    names = [f"block_{number}" for number in range(layers)]
    log, steps = Pictures(), [10 * n for n in range(1, checks + 1)]
    measured = [Measurement(name, 10, 0.0) for name in names]
    log_bundles(log, steps, measured, entropies, 10)
    (figure,) = log.found.values()
    assert log.step == 10 * checks
    assert max(figure.shape) <= LARGEST
    # The last check, of the brightest colour, is in the figure.
    brightest = count(figure, (250, 230, 60))
    assert brightest >= layers + 11 * 11


def test_ticks_that_would_overlap_are_left_out():
    image = np.zeros((2, 400, 3), np.uint8)
    few = Axis("x", [(0, "0"), (399, "399")])
    many = Axis("x", [*enumerate(map(str, range(400)))])
    y = Axis("y", [(0, "a"), (1, "b")])
    one, other = (framed(image, "", x, y, []) for x in (few, many))
    assert one.shape == other.shape
    # Letters below the image, which is two cells high.
    few, many = (
        (it[2 * CELL + 40 :] < 128).all(-1).sum() for it in (one, other)
    )
    assert few < many < 20 * few
