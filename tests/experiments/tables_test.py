"""Published runs do what loops written from the sources do."""

import math

import numpy as np
import pytest

from cb.registry import parse_spec
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState
from experiments import catalogue

ALL = {found.name: found for found in catalogue.experiments()}
PRUNED = [name for name in ALL if "_pruned_" in name]
STEPS = 7
# `--start-pruning-after-epoch`, `--prune-iterations`, `--post-prune-epochs`.
JOBS = {"cifar10": (0, 20, 10), "imagenet": (0, 20, 10), "mnist": (1, 10, 20)}


def prune_like_the_source(weights, sparsity, job, cubic):
    """Return the epochs trained before each prune, the masks and the length."""
    first, iterations, post = job
    mask, done, after, found = np.ones(weights.size, bool), 0, [], []
    epochs = first + 2 * (iterations - 1) + post
    for epoch in range(epochs):
        due = epoch >= first and (epoch - first) % 2 == 0
        if not due or done == iterations:
            continue
        fraction = 1 - (1 - sparsity) ** (1 / iterations)
        if cubic:
            left = [(1 - (done + k) / iterations) ** 3 for k in (0, 1)]
            before, now = (1 - sparsity + sparsity * m for m in left)
            fraction = 1 - now / before
        active = np.flatnonzero(mask)
        count = math.floor(fraction * active.size) + 1
        smallest = active[np.argsort(abs(weights[active]))[:count]]
        mask[smallest] = False
        done += 1
        after.append(epoch + 1)
        found.append(mask.copy())
    return after, found, epochs


SIZES = {"hidden_1": 784 * 300, "hidden_2": 300 * 100, "logits": 100 * 10}


def shares_of_the_source(flags):
    """Return the sparsity of each layer of `mnist_mlp` in a flagfile."""
    last, rest = str(flags["sparsity"]).split(",")
    return {
        "hidden_1": float(rest.removeprefix("dense=")),
        "hidden_2": float(rest.removeprefix("dense=")),
        "logits": float(last.removeprefix("logits=")),
    }


@pytest.mark.parametrize("percent", [95, 96, 97, 98, 99])
def test_pruned_perceptrons_keep_a_hundred_weights_in_the_last_layer(percent):
    (name,) = (n for n in PRUNED if n.endswith(f"s{percent}") and "mnist" in n)
    shares = shares_of_the_source(ALL[name].flags)
    kept = {key: (1 - shares[key]) * size for key, size in SIZES.items()}
    assert kept["logits"] == pytest.approx(100)
    total = (1 - percent / 100) * sum(SIZES.values())
    assert sum(kept.values()) == pytest.approx(total, abs=0.01)


@pytest.mark.parametrize("name", PRUNED)
def test_pruned_runs_prune_when_and_what_the_source_does(name):
    flags = ALL[name].flags
    given = parse_spec(flags["reallocation"]).kwargs
    if "sparsity" not in given:
        given["sparsity"] = shares_of_the_source(flags)["hidden_1"]
    job = JOBS[name.partition("/")[2].partition("_")[0]]
    weights = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    after, expected, epochs = prune_like_the_source(
        weights, given["sparsity"], job, given["schedule"] == "cubic"
    )
    spec = parse_spec(flags["reallocation"])
    spec.kwargs.update(published=True, sparsity=given["sparsity"])
    algorithm = reallocation.build(spec)
    assert algorithm.total_epochs() == epochs
    # The default trains as long after its last prune as it is asked to.
    corrected = reallocation.build(flags["reallocation"]).total_epochs()
    assert corrected == after[-1] + job[2]

    length = TrainingLength(epochs * STEPS, STEPS)
    period = algorithm.period(length)
    layers = {"kernel": LayerState(weights, np.ones(5000, bool))}
    state, step, masks = algorithm.init(layers), 0, layers["kernel"].mask
    due = []
    while step := period.next(step):
        layers = {"kernel": LayerState(weights * masks, masks)}
        event = Event(step, len(due), period, length)
        found, state = algorithm.update(layers, state, event=event, seed=0)
        masks = found["kernel"]
        np.testing.assert_array_equal(masks, expected[len(due)])
        due.append(step // STEPS)
    assert due == after


@pytest.mark.parametrize(
    ("name", "depth", "width"),
    [("fnn/10/50", 50, 10), ("fnn/25/50", 50, 25)],
)
def test_folders_of_the_perceptrons_are_width_and_depth(name, depth, width):
    found = ALL[f"bundles/{name.replace('/', '_')}"]
    kwargs = parse_spec(found.flags["model"]).kwargs
    assert kwargs == {"blocks": (depth,), "width": width}
