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
    assert (nothing != one).any()
