"""Learning-rate scaling and warm-up against the published tables."""

import keras
import numpy as np
import pytest

from cb.errors import InputError
from cb.optimization.large_batch import adaptation_factor
from cb.optimization.large_batch import learning_rate_factor
from cb.optimization.schedules import Warmup


@pytest.mark.parametrize(
    ("scaling", "batch", "reference", "expected"),
    [
        ("none", 2048, None, 1.0),
        ("sqrt", 128, 256, 0.70710678),
        ("sqrt", 2048, 256, 2.82842712),
        ("sqrt", 2048, 128, 4.0),
        ("sqrt", 4096, 128, 5.65685425),
        ("sqrt", 1024, 256, 2.0),
        ("linear", 2048, 256, 8.0),
    ],
)
def test_learning_rate_factor(scaling, batch, reference, expected):
    factor = learning_rate_factor(scaling, batch, reference)
    assert factor == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("batch", "reference", "expected"),
    [(2048, 256, 8), (1024, 256, 4), (4096, 128, 32), (300, 256, 2)],
)
def test_epochs_are_stretched_by_the_ratio_rounded_up(
    batch, reference, expected
):
    assert adaptation_factor(batch, reference) == expected


def test_warmup_rises_to_the_schedule():
    piecewise = keras.optimizers.schedules.PiecewiseConstantDecay
    warmup = Warmup(piecewise([5], [0.8, 0.08]), 4, initial=0.1)
    values = [float(warmup(step)) for step in (0, 2, 3, 4, 5, 6)]
    expected = [0.1, 0.45, 0.625, 0.8, 0.8, 0.08]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    copy = Warmup.from_config(warmup.get_config())
    assert float(copy(2)) == values[1]
    assert float(Warmup(0.5, 0)(0)) == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cubic", 8, 4), "`learning_rate_scaling` must be one of"),
        (("sqrt", 2048, None), "`reference_batch_size` must be given with"),
        (("linear", 2048, 0), "reference_batch_size=0"),
    ],
)
def test_wrong_scaling_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        learning_rate_factor(*arguments)
