"""Numbers and a picture of several checks."""

import numpy as np

from cb.bundles.history import heat_map
from cb.bundles.history import integral
from cb.bundles.history import long_form


def test_the_integral_is_the_mean_over_the_checks():
    means = integral([[0.0, 1.0], [0.5, 2.0], [1.0, np.nan]])
    np.testing.assert_array_equal(means, [0.5, np.nan])


def test_rows_name_checkpoint_layer_and_number():
    rows = long_form([3, 6], ["a"], [[8], [5]], [[0.0], [0.5]])
    assert rows == [
        (3, "a", "bundles", 8),
        (3, "a", "entropy", 0.0),
        (3, "a", "integral", 0.0),
        (6, "a", "bundles", 5),
        (6, "a", "entropy", 0.5),
        (6, "a", "integral", 0.25),
    ]


def test_the_picture_has_layers_down_and_time_to_the_right():
    image = heat_map([[0.0, 1.0], [0.0, 9.0], [np.nan, 0.5]], 1.0)
    assert image.shape == (2, 3, 3)
    dark, bright = image[0, 0].tolist(), image[1, 0].tolist()
    assert dark == [20, 20, 60]
    assert bright == [250, 230, 60]
    assert image[1, 1].tolist() == bright
    assert image[0, 2].tolist() == [255, 0, 255]
