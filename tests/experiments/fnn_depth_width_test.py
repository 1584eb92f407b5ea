"""The figure of accuracy and entropy over width and depth."""

import numpy as np
from PIL import Image

from experiments.fnn_depth_width import SIDES
from experiments.fnn_depth_width import draw


def test_draws_what_is_known(tmp_path):
    table = np.full((len(SIDES), len(SIDES), 2), np.nan)
    draw(table, tmp_path / "nothing.png")
    table[0, 1] = 0.9, 0.0
    draw(table, tmp_path / "one.png")
    nothing, one = (
        np.asarray(Image.open(tmp_path / f"{name}.png"))
        for name in ("nothing", "one")
    )
    assert nothing.shape == one.shape
    rows, columns = np.nonzero((nothing != one).any(axis=-1))
    height, width = nothing.shape[:2]
    # The least depth is the lowest sixth of a panel, the second width the
    # second from the left.
    assert rows.min() > 0.7 * height
    left = columns[columns < 0.5 * width] / width
    assert left.min() > 0.1 and left.max() < 0.2
