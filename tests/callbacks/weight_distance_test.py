"""Weight distance: the steps, the norms, the fit, and going on after a stop."""

import keras
import numpy as np
import pytest

from cb.callbacks import WeightDistance
from cb.callbacks.weight_distance import _unique
from cb.errors import InputError
from cb.optimization.diffusion import first_plateau
from cb.optimization.diffusion import log_fit
from cb.optimization.diffusion import next_log_step


def made_model(learning_rate=0.05):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, name="first"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(2, name="second"),
        ]
    )
    model.compile(keras.optimizers.SGD(learning_rate, momentum=0.9), "mse")
    return model


def data(number=80):
    rng = np.random.default_rng(0)
    return rng.normal(size=(number, 3)), rng.normal(size=(number, 2))


def fit(model, *callbacks, epochs=1, **kwargs):
    x, y = data()
    model.fit(
        x,
        y,
        batch_size=4,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **kwargs,
    )


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (1, [1, 10, 100, 1000]),
        (2, [1, 3, 10, 32, 100, 316, 1000]),
        (5, [1, 2, 3, 4, 6, 10, 16, 25, 40, 63, 100]),
    ],
)
def test_steps_are_spaced_evenly_in_the_logarithm(points, expected):
    step, found = 0, []
    for _ in expected:
        step = next_log_step(step, points)
        found.append(step)
    assert found == expected


def test_fit_recovers_a_logarithm():
    steps = np.array([1, 2, 4, 8, 100])
    fitted = log_fit(steps, 0.5 + 2.0 * np.log(steps))
    assert fitted.intercept == pytest.approx(0.5)
    assert fitted.slope == pytest.approx(2.0)
    assert fitted.r_squared == pytest.approx(1.0)
    assert fitted.num_points == 5


def test_fit_says_how_well_it_explains():
    steps, noisy = np.array([1, 2, 4, 8]), np.array([0.0, 2.0, 1.0, 3.0])
    slope, intercept = np.polyfit(np.log(steps), noisy, 1)
    fitted = log_fit(steps, noisy)
    assert fitted.slope == pytest.approx(slope)
    assert fitted.intercept == pytest.approx(intercept)
    correlation = np.corrcoef(np.log(steps), noisy)[0, 1]
    assert fitted.r_squared == pytest.approx(correlation**2)


def test_fit_of_one_point_is_not_a_number():
    assert np.isnan(log_fit(np.array([3]), np.array([1.0])).slope)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([0.1, 0.1, 0.01, 0.01], [0, 1]),
        ([0.0, 0.05, 0.1, 0.1, 0.01, 0.1], [2, 3]),
        ([0.1, 0.1], [0, 1]),
        ([], []),
    ],
)
def test_first_plateau(rates, expected):
    found = list(range(len(rates)))[first_plateau(np.array(rates))]
    assert found == expected


def test_distances_are_those_of_the_weights():
    model, distance = made_model(), WeightDistance(3)
    initial = {
        layer.name: [np.array(w) for w in layer.trainable_weights]
        for layer in model.layers
    }
    seen = {}

    class Copy(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            step = int(self.model.optimizer.iterations)
            seen[step] = {
                layer.name: sum(
                    ((np.array(w, "float64") - old) ** 2).sum()
                    for w, old in zip(
                        layer.trainable_weights,
                        initial[layer.name],
                        strict=True,
                    )
                )
                for layer in model.layers
            }

    fit(model, distance, Copy(), epochs=2)
    assert list(distance.steps) == [1, 2, 5, 10, 22]
    assert set(distance.distances) == {"total", "first", "norm", "second"}
    for place, step in enumerate(distance.steps):
        squares = seen[step]
        for name, square in squares.items():
            ours = distance.distances[name][place]
            assert ours == pytest.approx(np.sqrt(square), rel=1e-5)
        total = np.sqrt(sum(squares.values()))
        assert distance.distances["total"][place] == (
            pytest.approx(total, rel=1e-5)
        )


def test_fit_uses_the_first_plateau():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [15], [0.05, 0.001]
    )
    distance = WeightDistance(10)
    fit(made_model(schedule), distance, epochs=2)
    plateau = distance.steps <= 15
    expected = log_fit(
        distance.steps[plateau], distance.distances["total"][plateau]
    )
    assert 0 < expected.num_points < len(distance.steps)
    for found in (distance.fit(), distance.fit(last_step=15)):
        # Where arrays begin in memory may decide how a sum is rounded.
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert distance.fit("first").num_points == expected.num_points


def test_goes_on_after_a_stop(tmp_path):
    whole, stopped = WeightDistance(), WeightDistance()
    model = made_model()
    fit(model, whole, epochs=2)
    model = made_model()
    fit(model, stopped)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "state.npz", **stopped.get_state())
    with np.load(tmp_path / "state.npz") as archive:
        state = dict(archive)
    resumed = WeightDistance()
    resumed.set_state(state)
    model = keras.models.load_model(tmp_path / "model.keras")
    fit(model, resumed, epochs=2, initial_epoch=1)
    assert np.array_equal(resumed.steps, whole.steps)
    for name, values in whole.distances.items():
        assert np.array_equal(resumed.distances[name], values)
    assert resumed.fit() == whole.fit()


def test_the_end_of_the_training_is_measured_too():
    distance = WeightDistance(1, last_step=40)
    model = made_model()
    (first, *_) = model.get_weights()
    fit(model, distance, epochs=2)
    assert list(distance.steps) == [1, 10, 40]
    kernel, bias, *_ = model.get_weights()
    moved = np.sqrt(((kernel - first) ** 2).sum() + (bias**2).sum())
    assert distance.distances["first"][-1] == pytest.approx(moved, rel=1e-5)


def test_state_of_another_model_is_refused():
    distance = WeightDistance()
    fit(made_model(), distance)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.compile("sgd", "mse")
    fresh = WeightDistance()
    fresh.set_state(distance.get_state())
    with pytest.raises(ValueError, match="belongs to another model"):
        fit(other, fresh)


def test_state_before_training_is_empty():
    distance = WeightDistance()
    assert distance.get_state() == {}
    distance.set_state({})
    fit(made_model(), distance)
    assert len(distance.steps)


def test_records_are_handed_on():
    records = []
    distance = WeightDistance(
        2, on_record=lambda step, values: records.append((step, values))
    )
    fit(made_model(), distance)
    assert [step for step, _ in records] == [1, 3, 10]
    total = distance.distances["total"]
    assert [values["total"] for _, values in records] == list(total)


def test_steps_per_execution_measures_at_the_next_chance():
    model = made_model()
    model.compile("sgd", "mse", steps_per_execution=4)
    distance = WeightDistance(1)
    fit(model, distance)
    assert list(distance.steps) == [4, 12]


@pytest.mark.parametrize("points", [0, 1.5, True])
def test_wrong_argument_is_one_clear_line(points):
    with pytest.raises(InputError, match="points_per_decade="):
        WeightDistance(points)


def test_layers_of_colliding_names_have_columns_of_their_own():
    names = ["dense", "dense_1", "dense", "total"]
    assert _unique(names) == ["dense_0", "dense_1", "dense_2", "total_0"]
