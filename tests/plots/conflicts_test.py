"""Figures of conflicts show the numbers they are given."""

import contextlib

import numpy as np
import pytest
from matplotlib.figure import Figure

from cb.plots import conflicts


@pytest.fixture
def drawn(monkeypatch):
    """Return the axes that are drawn on, in place of a file."""
    axes = Figure().subplots()

    @contextlib.contextmanager
    def drawing(file, **kwargs):
        del file, kwargs
        yield axes

    monkeypatch.setattr(conflicts.style, "drawing", drawing)
    return axes


def test_layers_are_rows_and_checkpoints_columns(drawn):
    entropies = np.arange(6.0).reshape(2, 3)
    layers = ["one", "two", "three"]
    conflicts.draw_entropies(entropies, ["initial", "1"], layers, 9.0, None)
    (image,) = drawn.images
    np.testing.assert_array_equal(image.get_array(), entropies.T)
    assert image.get_clim() == (0.0, 9.0)
    assert [t.get_text() for t in drawn.get_yticklabels()] == layers


def test_many_layers_are_named_now_and_then(drawn):
    layers = [f"block_{number}" for number in range(1, 101)]
    conflicts.draw_entropies(np.zeros((1, 100)), ["last"], layers, 1.0, None)
    names = [t.get_text() for t in drawn.get_yticklabels()]
    assert names[:2] == ["block_1", "block_5"]
    assert len(names) == 25


def test_means_and_deviations_are_over_the_draws(drawn):
    results = [("none", 0, 0.9), ("any", 1, 0.8), ("any", 1, 0.6)]
    conflicts.draw_lesion(results, None)
    (bars,) = drawn.containers
    line, _, (segments,) = bars.lines
    np.testing.assert_allclose(line.get_xydata(), [[1.0, 70.0]])
    np.testing.assert_allclose(segments.get_segments()[0][:, 1], [60.0, 80.0])
    assert drawn.lines[-1].get_ydata()[0] == pytest.approx(90.0)
