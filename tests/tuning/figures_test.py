"""Figures of sweeps show what the results say."""

import numpy as np
import pytest

from cb.errors import InputError
from cb.tuning import figures
from cb.tuning.importance import importances
from cb.tuning.methods import method_figure
from cb.tuning.methods import method_rows
from cb.tuning.objectives import Objective
from cb.tuning.parallel import parallel_figure
from cb.tuning.reading import Sweep
from cb.tuning.results import AveragedConfiguration
from cb.tuning.space import Parameter
from cb.tuning.space import Space
from cb.tuning.study import frozen_trials

RATE = Parameter(name="rate", kind="float", low=1e-4, high=1.0, log=True)
SPARSITY = Parameter(name="sparsity", kind="float", low=0.0, high=1.0)
ALGORITHM = Parameter(name="algorithm", kind="choice", values=("rigl", "set"))
DEPTH = Parameter(
    name="depth", kind="int", low=1, high=4, when={"algorithm": ("rigl",)}
)
PARAMETERS = (RATE, SPARSITY, ALGORITHM, DEPTH)
BOTH = (Objective("Error", "min"), Objective("Inference", "min"))


def make(rows, objectives=BOTH, parameters=PARAMETERS, label="sweep"):
    """Return a sweep with a complete trial a row: values and results."""
    lines, points = [], []
    for number, (values, means) in enumerate(rows):
        values = {**values}
        about = {"trial": f"{number:03}", "status": "complete", "seed": 0}
        line = {**values, **means, **about, "seconds": 1.0}
        lines.append(line)
        points.append(
            AveragedConfiguration(f"0-{number}", values, means, {}, (line,))
        )
    space = Space(label, {}, parameters)
    return Sweep(label, objectives, space, lines, points, {})


def results(errors, costs=None, **values):
    costs = costs or [1.0] * len(errors)
    return [
        (
            {name: column[n] for name, column in values.items()},
            {"Error": error, "Inference": cost, "Training": 1.0},
        )
        for n, (error, cost) in enumerate(zip(errors, costs, strict=True))
    ]


def test_a_better_error_at_the_worst_cost_adds_hypervolume():
    # The first trial is the worst of all: only the second may count.
    sweep = make(results([0.71, 0.05], [100.0, 100.0]))
    (curve,), point = figures.covered([sweep])
    # A tenth of the range beyond the worst values; of the cost, which does
    # not vary, a tenth of the value and one.
    assert point == pytest.approx([0.71 + 0.066, 100 + 10.1])
    assert curve == pytest.approx([0.066 / (0.71 + 0.066 - 0.05), 1.0])


def test_hypervolume_is_that_of_numpy():
    errors, costs = np.random.default_rng(1).random((2, 20))
    sweep = make(results(errors.tolist(), costs.tolist()))
    (curve,), point = figures.covered([sweep], [0.9, 0.8])
    best = errors.min(), costs.min()
    grid = np.linspace(best, (0.9, 0.8), 801).T
    x, y = np.meshgrid(*[(line[1:] + line[:-1]) / 2 for line in grid])
    seen = np.zeros_like(x, bool)
    for number, (error, cost) in enumerate(zip(errors, costs, strict=True)):
        seen |= (error <= x) & (cost <= y)
        assert curve[number] == pytest.approx(seen.mean(), abs=5e-3)
    assert point.tolist() == [0.9, 0.8]


def test_a_reference_point_that_nothing_reaches_gives_none():
    sweep = make(results([0.5, 0.4], [2.0, 1.0]))
    (curve,), _ = figures.covered([sweep], [0.1, 5.0])
    assert curve.tolist() == [0.0, 0.0]


def test_a_maximized_objective_counts_upwards():
    rows = [
        ({}, {"accuracy": a, "Inference": c}) for a, c in [(0.5, 2), (0.9, 3)]
    ]
    objectives = (Objective("accuracy", "max"), Objective("Inference", "min"))
    sweep = make(rows, objectives)
    (curve,), _ = figures.covered([sweep], [0.0, 4.0])
    assert curve == pytest.approx(
        [0.5 * 2 / (0.9 * 2), (0.9 + 0.5) / (0.9 * 2)]
    )
    caption = figures.hypervolume_figure([sweep], [0.0, 4.0]).caption
    assert caption.endswith("accuracy 0, FLOPs of inference 4")
    front = figures.front_figure([sweep], "accuracy", "Inference")
    stairs = next(trace for trace in front.traces if trace.kind == "hv")
    assert (list(stairs.x), list(stairs.y)) == ([2, 3], [0.5, 0.9])


def test_the_front_is_marked_and_names_its_trials():
    sweep = make(results([0.1, 0.2, 0.3], [9.0, 1.0, 5.0]))
    figure = figures.front_figure([sweep], "Error", "Inference")
    behind, _, front = figure.traces
    assert behind.items == ["sweep 002"] and behind.faint
    assert front.items == ["sweep 000", "sweep 001"] and not front.faint
    assert front.label == "sweep: 2 on the front"


def test_a_view_leaves_out_failed_trainings_and_says_so():
    errors = [0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.9, 0.95]
    figure = figures.front_figure(
        [make(results(errors, [*range(8, 0, -1)]))], "Error", "Inference"
    )
    # Here the whole range is on the front, so all of it is shown.
    assert figure.view is None
    sweep = make(results(errors, [1.0] * 8))
    figure = figures.front_figure([sweep], "Error", "Inference")
    low, high = figure.view
    outside = sum(not low <= error <= high for error in errors)
    assert outside == 2 and "2 worse trials" in figure.caption


def test_one_objective_has_its_best_so_far():
    sweep = make(results([0.5, 0.7, 0.2]), objectives=BOTH[:1])
    names = {figure.name for figure in figures.figures([sweep])}
    assert "best" in names and "hypervolume" not in names
    points, best = figures.best_figure([sweep]).traces
    assert list(points.y) == [0.5, 0.7, 0.2]
    assert list(best.y) == [0.5, 0.5, 0.2]


def test_methods_are_compared_at_their_best_not_by_means():
    # The mean of `rigl` is far worse, its best trial is better.
    sweep = make(
        results(
            [0.9, 0.1, 0.3, 0.3],
            algorithm=["rigl", "rigl", "set", "set"],
            sparsity=[0.5, 0.5, 0.5, 0.9],
        )
    )
    rigl, set_, *points = method_figure(sweep).traces
    assert (list(rigl.x), list(rigl.y)) == ([0.5], [pytest.approx(90.0)])
    assert list(set_.x) == [0.9]
    assert list(points[0].y) == pytest.approx([10.0, 90.0])
    assert [row[:4] for row in method_rows(sweep)] == [
        ["rigl", 2, 1, 0.1],
        ["set", 2, 0, 0.3],
    ]
    assert not method_rows(make(results([0.1], rate=[0.1])))


def test_parallel_lines_are_at_the_places_of_their_values():
    sweep = make(
        results(
            [0.1, 0.3, 0.2],
            rate=[0.0001, 1.0, 0.01],
            algorithm=["rigl", "set", "rigl"],
            sparsity=[0.2, 0.6, 0.4],
        )
    )
    figure = parallel_figure([sweep])
    lines = {line.items: [*line.x] for line in figure.traces}
    rows = dict(zip(figure.rows, lines["sweep 002"], strict=True))
    # The rate spans a factor of 10,000.
    assert rows["rate"] == pytest.approx(0.5)
    assert rows["sparsity"] == pytest.approx(0.5)
    assert rows["algorithm"] == 0.0 and rows["depth"] < 0
    assert rows["Error"] == pytest.approx(0.5)
    assert (1.0, figure.rows.index("algorithm"), "set") in figure.notes


def random_sweep(error):
    random = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        values = {
            "rate": float(10 ** random.uniform(-4, 0)),
            "sparsity": float(random.random()),
            "algorithm": str(random.choice(["rigl", "set"])),
        }
        if values["algorithm"] == "rigl":
            values["depth"] = int(random.integers(1, 5))
        means = {"Error": error(values), "Inference": values["sparsity"]}
        rows.append((values, means))
    return make(rows)


def test_what_decides_an_objective_is_most_important():
    sweep = random_sweep(lambda values: abs(np.log10(values["rate"]) + 2))
    found = importances(sweep)
    assert [*found] == ["front", "Error", "Inference"]
    for objective, parameter in (("Error", "rate"), ("Inference", "sparsity")):
        shares = found[objective]
        assert shares.keys() == {one.name for one in PARAMETERS}
        assert max(shares, key=shares.get) == parameter
        assert sum(shares.values()) == pytest.approx(1.0)


def test_choices_and_conditions_are_important_too():
    sweep = random_sweep(
        lambda v: (v["algorithm"] == "set") + v.get("depth", 9) + v["rate"] / 9
    )
    shares = importances(sweep)["Error"]
    assert {*sorted(shares, key=shares.get)[-2:]} == {"algorithm", "depth"}


def test_too_few_points_have_no_importance():
    sweep = make(results([0.1] * 7, rate=[0.1] * 7))
    with pytest.raises(InputError, match="at least 8 points"):
        importances(sweep)


def test_points_from_elsewhere_widen_the_range_of_a_study():
    rates, algorithms = [1e-5, 2.0], ["other", "rigl"]
    sweep = make(results([0.1, 0.2], rate=rates, algorithm=algorithms))
    first, second = frozen_trials(sweep)
    assert first.params == {"rate": 1e-5, "algorithm": "other"}
    assert second.distributions["rate"].high == 2.0
    assert first.values == [0.1, 1.0]
