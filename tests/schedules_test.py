"""When events are due, and how factors decay."""

import math

import pytest

from cb import schedules
from cb.errors import InputError
from cb.schedules import PeriodicSchedule
from cb.schedules import TrainingLength

HORIZON = TrainingLength(total_steps=1000, steps_per_epoch=50)


@pytest.mark.parametrize(
    ("time", "steps"),
    [
        (0, 0),
        (7, 7),
        (0.0, 0),
        (0.75, 750),
        (1.0, 1000),
        ("20ep", 1000),
        ("0.5ep", 25),
        (5000, 5000),
    ],
)
def test_times_are_steps_fractions_or_epochs(time, steps):
    assert HORIZON.steps(time, "every") == steps


@pytest.mark.parametrize(
    "time", [-1, 1.5, -0.1, "20", "ep", "-1ep", "twoep", True, None, "nanep"]
)
def test_malformed_times_are_refused(time):
    with pytest.raises(InputError, match="Argument `end` must be"):
        HORIZON.steps(time, "end")


@pytest.mark.parametrize("time", [0.5, "3ep"])
def test_times_need_the_length_they_refer_to(time):
    with pytest.raises(InputError, match="needs the length of the training"):
        TrainingLength(None, None).steps(time, "end")
    assert TrainingLength(None, None).steps(12, "end") == 12


def test_due_steps_are_the_multiples_from_start_to_end():
    period = PeriodicSchedule(every=10, start=20, end=45)
    due = [t for t in range(100) if period.due(t - 1, t) is not None]
    assert due == [20, 30, 40]


def test_step_zero_is_never_due():
    assert PeriodicSchedule(10, 0, 100).due(-1, 0) is None
    assert PeriodicSchedule(10, 0, 100).next(0) == 10


@pytest.mark.parametrize("stride", [1, 3, 7, 10, 25])
def test_crossed_multiples_are_due_once(stride):
    period = PeriodicSchedule(every=10, start=0, end=75)
    seen = [
        due
        for step in range(stride, 120, stride)
        if (due := period.due(step - stride, step)) is not None
    ]
    assert len(seen) == len(set(seen))
    assert all(due % 10 == 0 and 0 < due <= 75 for due in seen)
    if stride <= 10:
        assert seen == [10, 20, 30, 40, 50, 60, 70]


def test_a_step_asked_twice_is_due_once():
    period = PeriodicSchedule(10, 0, 100)
    assert period.due(9, 10) == 10
    assert period.due(10, 10) is None


@pytest.mark.parametrize("every", [1, 3, 10])
@pytest.mark.parametrize("start", [0, 5, 20])
@pytest.mark.parametrize("end", [0, 20, 44])
def test_next_agrees_with_due(every, start, end):
    period = PeriodicSchedule(every, start, end)
    for step in range(60):
        later = [t for t in range(step + 1, 80) if period.due(t - 1, t)]
        assert period.next(step) == (later[0] if later else None)
        earlier = [t for t in range(step + 1) if period.due(t - 1, t)]
        assert period.count(step) == len(earlier)


# Mask updates of total 1000 steps, every 100, up to 0.75, step 0 excluded.
def test_event_steps_of_a_fraction_of_the_training():
    end = HORIZON.steps(0.75, "end")
    period = PeriodicSchedule(100, 0, end)
    due = [t for t in range(1001) if period.due(t - 1, t)]
    assert due == [100, 200, 300, 400, 500, 600, 700]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("constant", (1.0, 1.0, 1.0)),
        ("cosine", (1.0, 0.5, 0.0)),
        ("linear", (1.0, 0.5, 0.0)),
    ],
)
def test_decays_at_start_middle_and_end(kind, values):
    actual = [schedules.decay(kind, step, 100, 300) for step in (100, 200, 300)]
    assert actual == pytest.approx(values)


def test_cosine_counts_from_start():
    expected = 0.5 * (1.0 + math.cos(math.pi * 50 / 200))
    assert schedules.decay("cosine", 150, 100, 300) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_decays_are_clamped_outside_their_times(kind):
    assert schedules.decay(kind, 0, 100, 300) == pytest.approx(1.0)
    assert schedules.decay(kind, 900, 100, 300) == pytest.approx(0.0)


def due_steps(period, last=200):
    return [t for t in range(1, last) if period.due(t - 1, t) is not None]


PERIODS = [
    PeriodicSchedule(10, 15, 60, offset=15),
    PeriodicSchedule(10, 0, 47, includes_end=True),
    PeriodicSchedule(10, 0, 50, includes_end=True),
    PeriodicSchedule(((0, 10), (50, 25), (130, 7)), 0, 170),
    PeriodicSchedule(((0, 10), (50, 25)), 20, 90, includes_end=True),
]
EXPECTED = [
    [15, 25, 35, 45, 55],
    [10, 20, 30, 40, 47],
    [10, 20, 30, 40, 50],
    [10, 20, 30, 40, 50, 75, 100, 125, 133, 140, 147, 154, 161, 168],
    [20, 30, 40, 50, 75, 90],
]


@pytest.mark.parametrize(
    ("period", "expected"), list(zip(PERIODS, EXPECTED, strict=True))
)
def test_grids(period, expected):
    assert due_steps(period) == expected
    for step in range(200):
        later = [due for due in expected if due > step]
        assert period.next(step) == (later[0] if later else None)
        assert period.count(step) == len(expected) - len(later)


@pytest.mark.parametrize("batches", [1, 3])
@pytest.mark.parametrize("slow", [False, True])
def test_due_steps_are_told_once_and_read_seldom(batches, slow):
    """Batches may make fewer steps than there are, as on overflow."""
    done, reads, told = [0], [], []

    def read():
        reads.append(done[0])
        return done[0]

    steps = schedules.StepTracker(PeriodicSchedule(10, 1, 100), read)
    for number in range(0, 150, batches):
        asked_at = done[0]
        if (due := steps.crossed()) is not None:
            told.append((due, done[0]))
        steps.begin_batches(batches)
        done[0] += 0 if slow and number % 4 == 1 else batches
    expected = range(10, min(asked_at, 100) + 1, 10)
    assert [due for due, _ in told] == list(expected)
    assert all(0 <= step - due < batches for due, step in told)
    assert len(reads) < 70


def test_nothing_is_due_without_a_period():
    steps = schedules.StepTracker(None, lambda: 7)
    steps.begin_batches(1000)
    assert steps.crossed() is None
    assert steps.catch_up() is None
    assert not steps.within(1)


def test_within_looks_ahead_of_the_batches_begun():
    steps = schedules.StepTracker(PeriodicSchedule(5, 1, 100), lambda: 2)
    assert [steps.within(n) for n in (0, 2, 3)] == [False, False, True]
    steps.begin_batches(2)
    assert [steps.within(n) for n in (0, 1)] == [False, True]


def test_numbers_count_the_events_of_a_grid():
    period = PeriodicSchedule(10, 15, 42, offset=15, includes_end=True)
    assert [period.number(due) for due in due_steps(period)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("epoch", "value"), [(0, 1.0), (9, 1.0), (10, 0.5), (99, 0.25)]
)
def test_piecewise_takes_the_last_that_has_begun(epoch, value):
    values = {10: 0.5, 0: 1.0, 20: 0.25}
    assert schedules.piecewise(values, epoch) == value


def test_piecewise_before_the_first_is_the_first():
    assert schedules.piecewise({5: 0.5, 9: 0.1}, 0) == 0.5
    assert schedules.piecewise(3, 0) == 3.0


def test_epochs_are_counted_in_steps_that_need_not_be_whole():
    training_length = TrainingLength(8, 8 / 3)
    assert [training_length.epoch(step) for step in range(8)] == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
        2,
    ]
