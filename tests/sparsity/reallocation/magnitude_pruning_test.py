"""Gradual pruning: exact counts at every event and at the end."""

import itertools
import math
import os
import warnings
from unittest import mock

import numpy as np
import pytest

from cb.errors import InputError
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState


def dense(*shape, seed=0):
    weights = np.random.default_rng(seed).normal(size=shape)
    return LayerState(weights.astype(np.float32), np.ones(shape, bool))


def run(algorithm, layers, training_length):
    """Run all events of a training; yield `(step, masks)`."""
    state = algorithm.init(layers)
    masks, state = algorithm.initial_masks(layers, state, seed=0)
    period = algorithm.period(training_length)
    yield 0, masks
    if period is None:
        return
    step = 0
    while (step := period.next(step)) is not None:
        if step > training_length.total_steps:
            return
        layers = {
            key: layer._replace(
                mask=masks[key], weights=layer.weights * masks[key]
            )
            for key, layer in layers.items()
        }
        event = Event(step, period.number(step), period, training_length)
        masks, state = algorithm.update(layers, state, event=event, seed=step)
        yield step, masks


HORIZON = TrainingLength(1000, 100)


def counts(algorithm, layers, training_length=HORIZON):
    return [
        (step, [int(mask.sum()) for mask in masks.values()])
        for step, masks in run(algorithm, layers, training_length)
        if step
    ]


# n = 4608, cubic, target 0.9, twenty iterations, one too many at each.
def test_the_published_sequence():
    algorithm = reallocation.build(
        "magnitude_pruning(sparsity=0.9, iterations=20, every='2ep', "
        "start='1ep', published=True)"
    )
    sequence = [
        number
        for _, (number,) in counts(
            algorithm, {"a": dense(4608)}, TrainingLength(5000, 100)
        )
    ]
    assert sequence == [
        4016, 3483, 3006, 2582, 2208, 1881, 1597, 1354, 1148, 976, 835, 723,
        635, 569, 522, 490, 470, 460, 456, 455,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "sparsity", "total"),
    [
        ("exponential", 0.9, 145_044),
        ("cubic", 0.9, 144_997),
        ("cubic", 0.8, 290_159),
    ],
)
def test_the_published_totals_of_a_wide_residual_network(
    schedule, sparsity, total
):
    shapes = [16 * 32] + [32 * 32] * 7 + [32 * 64] + [64 * 64] * 7
    shapes += [64 * 128] + [128 * 128] * 7
    algorithm = reallocation.build(
        f"magnitude_pruning(sparsity={sparsity}, schedule={schedule!r}, "
        "iterations=20, every='2ep', start='1ep', published=True)"
    )
    layers = {str(i): dense(9 * n, seed=i) for i, n in enumerate(shapes)}
    assert sum(layer.mask.size for layer in layers.values()) == 1_451_520
    *_, (_, last) = counts(algorithm, layers, TrainingLength(5000, 100))
    assert sum(last) == total


# LeNet-300-100 at 0.99, where the last layer is pruned to 0.9 only.
@pytest.mark.parametrize(
    ("size", "sparsity", "last"),
    [(235_200, 0.99033937, 2271), (30_000, 0.99033937, 289), (1000, 0.9, 98)],
)
def test_the_published_numbers_of_a_perceptron(size, sparsity, last):
    algorithm = reallocation.build(
        f"magnitude_pruning(sparsity={sparsity}, schedule='exponential', "
        "iterations=10, every='2ep', start='1ep', published=True)"
    )
    *_, (_, numbers) = counts(
        algorithm, {"a": dense(size)}, TrainingLength(5000, 100)
    )
    assert numbers == [last]


def test_exact_iterations_follow_the_formula():
    algorithm = reallocation.build(
        "magnitude_pruning(sparsity=0.9, iterations=4, every='2ep', "
        "start='1ep')"
    )
    seen = counts(algorithm, {"a": dense(1000)})
    expected = [
        (100 + 200 * k, [math.floor(100.5 + 900 * (1 - (k + 1) / 4) ** 3)])
        for k in range(4)
    ]
    assert seen == expected
    assert seen[-1] == (700, [100])


@pytest.mark.parametrize(
    ("published", "epochs"), [(False, 1 + 2 * 19 + 10), (True, 48)]
)
def test_total_epochs(published, epochs):
    algorithm = reallocation.build(
        "magnitude_pruning(iterations=20, every='2ep', start='1ep', "
        f"post_epochs=10, published={published})"
    )
    assert algorithm.total_epochs() == epochs


# The toolkit reaches 0.8928 of 0.9 for an end off its grid.
@pytest.mark.parametrize("end", [250, 299, 300, 301, 7, 0.333])
@pytest.mark.parametrize("schedule", ["cubic", "exponential", "linear"])
def test_the_final_sparsity_is_reached_whatever_the_grid(end, schedule):
    algorithm = reallocation.build(
        f"magnitude_pruning(sparsity=0.9, every=100, end={end}, "
        f"schedule={schedule!r})"
    )
    *_, (step, (number,)) = counts(algorithm, {"a": dense(25, 40)})
    assert step == (333 if end == 0.333 else end)
    assert number == 100


def test_the_cubic_schedule_follows_its_formula():
    algorithm = reallocation.build(
        "magnitude_pruning(sparsity=0.8, initial_sparsity=0.5, start=100, "
        "end=500)"
    )
    for step, (number,) in counts(algorithm, {"a": dense(1000)}):
        sparsity = 0.8 + (0.5 - 0.8) * (1 - (step - 100) / 400) ** 3
        assert number == math.floor(1000 * (1 - sparsity) + 0.5 + 1e-9)


def test_counts_never_rise_and_pruned_connections_never_return():
    algorithm = reallocation.build("magnitude_pruning(sparsity=0.95)")
    last = np.ones((30, 30), bool)
    for _, masks in run(
        algorithm, {"a": dense(30, 30)}, TrainingLength(1000, 100)
    ):
        assert not (masks["a"] & ~last).any()
        last = masks["a"]


def test_the_smallest_weights_go():
    layer = dense(20)
    algorithm = reallocation.build(
        "magnitude_pruning(sparsity=0.5, schedule='constant')"
    )
    _, (_, masks), *_ = run(algorithm, {"a": layer}, TrainingLength(1000, 100))
    order = np.argsort(-np.abs(layer.weights))
    assert set(np.flatnonzero(masks["a"])) == set(order[:10])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_ties_keep_the_exact_number(value):
    layer = LayerState(np.full(1000, value, np.float32), np.ones(1000, bool))
    algorithm = reallocation.build("magnitude_pruning(sparsity=0.9)")
    *_, (_, (number,)) = counts(algorithm, {"a": layer})
    assert number == 100


def test_the_target_is_what_training_starts_with():
    mask = np.arange(100) % 7 == 0
    layer = dense(100)._replace(mask=mask)
    algorithm = reallocation.build("magnitude_pruning")
    state = algorithm.init({"a": layer})
    masks, _ = algorithm.initial_masks({"a": layer}, state, seed=0)
    assert masks["a"].all()
    *_, (_, (number,)) = counts(algorithm, {"a": layer})
    assert number == mask.sum()


def test_global_pruning_compares_normalised_magnitudes():
    layers = {
        "large": LayerState(
            100.0 * dense(50, seed=1).weights, np.ones(50, bool)
        ),
        "small": dense(50, seed=2),
    }
    algorithm = reallocation.build(
        "magnitude_pruning(sparsity=0.5, schedule='constant', scope='global')"
    )
    _, (_, masks), *_ = run(algorithm, layers, TrainingLength(1000, 100))
    scores = np.concatenate(
        [
            np.abs(layer.weights) / np.linalg.norm(layer.weights)
            for layer in layers.values()
        ]
    )
    expected = np.zeros(100, bool)
    expected[np.argsort(-scores)[:50]] = True
    np.testing.assert_array_equal(
        np.concatenate(list(masks.values())), expected
    )


def test_global_pruning_keeps_the_minimum_of_every_layer():
    layers = {"a": dense(100, seed=1), "b": dense(1000, seed=2)}
    layers["a"] = layers["a"]._replace(
        # One large weight leaves nothing to the others after the norm.
        weights=np.where(np.arange(100) == 0, 1e4, 1e-6).astype(np.float32)
    )
    algorithm = reallocation.build(
        "magnitude_pruning(sparsity=0.9, scope='global', minimum=5)"
    )
    *_, (_, last) = counts(algorithm, layers)
    assert last == [5, 105]


@pytest.fixture(scope="module")
def toolkit():
    """Return the schedules of the TensorFlow toolkit."""
    # It also asks for the old Keras in all processes that begin later.
    with warnings.catch_warnings(), mock.patch.dict(os.environ):
        # It asks for its version of TensorFlow in a deprecated way.
        warnings.simplefilter("ignore")
        import tensorflow_model_optimization
    return tensorflow_model_optimization.sparsity.keras


@pytest.mark.slow
def test_a_schedule_of_the_toolkit_reaches_its_end(toolkit):
    schedule = toolkit.PolynomialDecay(0.0, 0.9, 50, 240, 1, frequency=100)
    algorithm = reallocation.get("magnitude_pruning")(schedule=schedule)
    seen = counts(algorithm, {"a": dense(1000)})
    assert [step for step, _ in seen] == [50, 150, 240]
    assert [number for _, (number,) in seen] == [1000, 526, 100]


@pytest.mark.slow
def test_a_constant_schedule_of_the_toolkit_is_exact(toolkit):
    schedule = toolkit.ConstantSparsity(0.7, 120, 200, frequency=40)
    algorithm = reallocation.get("magnitude_pruning")(schedule=schedule)
    seen = counts(algorithm, {"a": dense(10)})
    assert seen == [(120, [3]), (160, [3]), (200, [3])]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("magnitude_pruning(sparsity=1.0)", r"sparsity=1\.0"),
        ("magnitude_pruning(schedule='cube')", "Did you mean 'cubic'"),
        ("magnitude_pruning(scope='model')", "Received: scope='model'"),
        ("magnitude_pruning(iterations=0)", "iterations=0"),
        ("magnitude_pruning(post_epochs=2)", "needs `iterations`"),
        (
            "magnitude_pruning(iterations=2, post_epochs=2)",
            "in epochs such as '2ep'.*every=100",
        ),
    ],
)
def test_bad_hyperparameters_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        reallocation.build(spec)


def test_a_start_after_the_end_is_refused():
    algorithm = reallocation.build("magnitude_pruning(start=30, end=5)")
    with pytest.raises(InputError, match="`start` must be at most `end`"):
        algorithm.period(TrainingLength(1000, 100))


@pytest.mark.parametrize("final", ["sparsity=0.9, ", ""])
def test_pruning_cannot_start_sparser_than_it_ends(final):
    mask = np.arange(100) < 10
    layers = {"a": dense(100)._replace(mask=mask)}
    spec = f"magnitude_pruning({final}initial_sparsity=%s)"
    with pytest.raises(InputError, match="is 0.9000 in layer a. Received"):
        reallocation.build(spec % 0.95).init(layers)
    assert reallocation.build(spec % 0.9).init(layers) == {"target/a": 10}


def test_an_end_after_the_training_is_refused():
    algorithm = reallocation.build("magnitude_pruning(end=2000)")
    with pytest.raises(InputError, match="never reached"):
        algorithm.period(TrainingLength(1000, 100))


SIZE = 60
TIMES = {
    "start": (0, 1, "0ep", "1ep", 0.001, 0.5),
    "end": (0, 5, 0.5, 1.0, "3ep"),
    "every": (1, 7, "1ep", 0.3),
    "iterations": (None, 1, 2, 5),
    "published": (False, True),
}


@pytest.mark.parametrize("steps", [1, 10, 60])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_sparsity_comes_or_is_said_to_be_missing(scope, steps):
    length, layers = TrainingLength(steps, 10), {"a": dense(SIZE)}
    reached = missing = 0
    for values in itertools.product(*TIMES.values()):
        options = dict(zip(TIMES, values, strict=True))
        algorithm = reallocation.get("magnitude_pruning")(
            sparsity=0.9, scope=scope, **options
        )
        try:
            algorithm.period(length)
        except InputError:
            continue
        *before, (_, masks) = run(algorithm, layers, length)
        events = len(before)  # The first is the start.
        said = algorithm.unreached(masks, algorithm.init(layers), events)
        number = int(masks["a"].sum())
        assert ("0.9000" in said) == (number > 6), options
        if number == 6 and (asked := options["iterations"]):
            done = events + (options["start"] in (0, "0ep"))
            text = f"pruned {done} of {asked} times"
            assert (text in said) == (done < asked), options
        missing += bool(said)
        reached += not said
        if options["iterations"] and not options["published"]:
            every = length.interval(options["every"])
            start = length.steps(options["start"], "start")
            fits = max(start, 1) + every * (options["iterations"] - 1) <= steps
            assert not fits or number == 6, options
    assert reached > 50 and missing > 30


def test_iterations_from_the_start_begin_before_the_first_step():
    algorithm = reallocation.build(
        "magnitude_pruning(sparsity=0.9, iterations=4, every=10, "
        "schedule='linear')"
    )
    layers = {"a": dense(1000)}
    seen = [
        (step, int(masks["a"].sum()))
        for step, masks in run(algorithm, layers, HORIZON)
    ]
    assert seen == [(0, 775), (10, 550), (20, 325), (30, 100)]


def test_iterations_need_one_interval():
    with pytest.raises(InputError, match="one time with `iterations`"):
        reallocation.build(
            "magnitude_pruning(iterations=3, every={0: 10, 2: 20})"
        )


def test_a_schedule_of_the_toolkit_that_is_cut_short_is_said():
    class Toolkit:
        begin_step, end_step, frequency = 0, 40, 10

        def __call__(self, step):
            return True, min(step / 50, 0.8)

    algorithm = reallocation.get("magnitude_pruning")(schedule=Toolkit())
    layers = {"a": dense(100)}
    for steps, missing in ((40, False), (35, True)):
        *_, (_, masks) = run(algorithm, layers, TrainingLength(steps, 10))
        said = algorithm.unreached(masks, algorithm.init(layers), 0)
        assert bool(said) == missing
