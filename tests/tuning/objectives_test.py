import pytest

from cb.errors import InputError
from cb.tuning import objectives


def test_accuracies_are_maximized_and_the_rest_minimized():
    found = objectives.parse_objectives(
        ["val_error", "val_accuracy", "seconds:max", "inference_flops"]
    )
    assert [one.direction for one in found] == ["min", "max", "max", "min"]
    assert found[1].minimized(0.9) == -0.9


@pytest.mark.parametrize(
    "texts, message",
    [
        (["val_errors"], "Unknown objective.*Did you mean 'val_error'"),
        (["val_error:up"], "Unknown direction"),
        ([], "one or more different metrics"),
        (["val_loss", "val_loss:max"], "one or more different metrics"),
    ],
)
def test_bad_objectives_are_refused(texts, message):
    with pytest.raises(InputError, match=message):
        objectives.parse_objectives(texts)


def test_constraints_are_bounds_that_can_be_exceeded():
    bounds = objectives.parse_constraints(["inference_flops<=1e3"])
    assert objectives.exceeded(bounds, {"inference_flops": 2e3}) == [
        "inference_flops 2000 > 1000"
    ]
    assert not objectives.exceeded(bounds, {"inference_flops": 1e3})
    assert not objectives.exceeded(bounds, {"val_error": 1.0})


@pytest.mark.parametrize(
    "text, message",
    [
        ("inference_flops=3", "the form"),
        ("inference_flops<=-3", "the number positive"),
        ("inference_flops<=nan", "the number positive"),
        ("flops<=3", "Unknown metric"),
    ],
)
def test_bad_constraints_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        objectives.parse_constraints([text])


def test_scores_of_a_run_are_named_by_their_part():
    metrics = {"loss": 0.5, "validation/accuracy": 0.75, "density": 0.1}
    found = objectives.scores(metrics, {"accuracy": 0.5})
    assert found == {
        "loss": 0.5,
        "val_accuracy": 0.75,
        "val_error": 0.25,
        "test_accuracy": 0.5,
        "test_error": 0.5,
    }
