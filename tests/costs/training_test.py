"""Costs of trainings, against the formulas of the papers."""

import pytest

from cb.costs import Counter
from cb.costs import training_costs
from cb.costs.training import published_step
from cb.errors import InputError
from cb.schedules import TrainingLength
from cb.sparsity import reallocation

STEPS, BATCH = 1000, 8
HORIZON = TrainingLength(STEPS, 100)


@pytest.fixture(scope="module")
def perceptron(abstract_model):
    return Counter(abstract_model("autosparse_mlp", (28, 28, 1), 10))


@pytest.fixture(scope="module")
def sparse(perceptron):
    return perceptron.costs("autosparse", {"*": 0.1})


F_S, F_D = 279_400, 2_794_000


def trained(costs, spec):
    algorithm = reallocation.build(spec)
    return training_costs(costs, algorithm, HORIZON, BATCH)


# Operations of an example: in a step, in an event, to choose the masks.
DECLARED = {
    "static": (3 * F_S, 0, 0),
    "set": (3 * F_S, 0, 0),
    "random": (3 * F_S, 0, 0),
    "deep_rewiring": (3 * F_S, 0, 0),
    "dynamic_sparse": (3 * F_S, 0, 0),
    "constant_fan_in": (3 * F_S, 2 * F_S + F_D, 3 * F_D),
    "rigl": (3 * F_S, 2 * F_S + F_D, 0),
    "snfs": (2 * F_S + F_D, 0, 0),
    "discover_wirings": (2 * F_S + F_D, 0, 0),
    "n_by_m": (2 * F_S + F_D, 0, 0),
    "snip": (3 * F_S, 0, 3 * F_D),
    "snip(num_batches=4)": (3 * F_S, 0, 12 * F_D),
    "grasp": (3 * F_S, 0, 9 * F_D),
    # The gradients of a tenth of the weights besides those used.
    "top_kast(explored=0.1)": (3 * F_S + 0.1 * F_D, 0, 0),
}


def test_every_algorithm_is_told_of_here():
    told = {spec.split("(")[0] for spec in DECLARED} | {"magnitude_pruning"}
    assert told == set(reallocation.names())


@pytest.mark.parametrize("spec", sorted(DECLARED))
def test_operations_that_algorithms_declare(spec, sparse):
    found = trained(sparse, spec)
    assert (found.step, found.event, found.start) == DECLARED[spec]
    assert found.dense_step == 3 * F_D


@pytest.mark.parametrize(
    "times,events",
    [
        ("every=100, end=0.75", 7),
        ("every=100, end=1.0", 10),
        ("every=30, start=200, end=300", 4),
        ("every={0: 100, 5: 50}, end=1.0", 15),
    ],
)
def test_interval_and_end_decide_how_many_events_are_paid(
    times, events, sparse
):
    found = trained(sparse, f"rigl({times})")
    assert found.events == events
    assert found.total == BATCH * (STEPS * 3 * F_S + events * (2 * F_S + F_D))
    assert found.dense_total == BATCH * STEPS * 3 * F_D


def test_a_training_that_begins_late_does_not_pay_for_what_was_before(sparse):
    rigl = reallocation.build("rigl(every=100, end=0.75)")
    found = training_costs(sparse, rigl, HORIZON, BATCH, first_step=500)
    # Those at 600 and 700.
    assert (found.steps, found.events) == (500, 2)


def test_pruning_pays_for_the_weights_that_are_still_there(sparse):
    # Dense up to step 250, half the way gone up to 500, then sparse.
    spec = "magnitude_pruning(schedule='linear', every=250, end=500)"
    middle = (F_S + F_D) / 2
    mean = 0.25 * F_D + 0.25 * middle + 0.5 * F_S
    assert trained(sparse, spec).step == pytest.approx(3 * mean)
    # Halfway between is the geometric mean of the densities 1 and 0.1.
    spec = "magnitude_pruning(schedule='exponential', every=250, end=500)"
    mean = 0.25 * F_D + 0.25 * F_D * 0.1**0.5 + 0.5 * F_S
    assert trained(sparse, spec).step == pytest.approx(3 * mean)


def test_published_numbers_of_the_trade_off_search(perceptron, sparse):
    examples = 200 * 60_000
    rigl, sets = reallocation.build("rigl"), reallocation.build("set")
    assert published_step(sparse, rigl, 420) * examples == pytest.approx(
        1.01301e13, rel=1e-5
    )
    assert published_step(sparse, sets, 420) * examples == 1.00584e13
    dense = perceptron.costs("autosparse")
    assert published_step(dense, sets, 420) * examples == 1.00584e14


def test_a_length_is_needed(sparse):
    with pytest.raises(InputError, match="number of steps"):
        training_costs(
            sparse, reallocation.build("set"), TrainingLength(), BATCH
        )
