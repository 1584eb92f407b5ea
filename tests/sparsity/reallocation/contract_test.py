"""What every algorithm must do, by what it declares."""

import dataclasses
import io
import itertools
import math
from typing import Any

import numpy as np
import pytest

from cb import seeds
from cb.errors import InputError
from cb.registry.annotations import allows
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState

SHAPES = {
    "dense": (30, 20),
    "conv": (3, 3, 4, 6),
    "one": (1, 1),
    "full": (6, 5),
    "column": (40, 1),
}
DENSITIES = {"dense": 0.2, "conv": 0.4, "one": 1.0, "full": 1.0, "column": 0.1}
HORIZON = TrainingLength(total_steps=200, steps_per_epoch=10)


def build(name):
    """Build an algorithm with an event after every step, to the end."""
    kind = reallocation.get(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    wanted = {"every": 1, "end": 1.0}
    return kind(**{key: wanted[key] for key in wanted if key in fields})


def masks_at_start():
    masks = {}
    for key, shape in SHAPES.items():
        size = int(np.prod(shape))
        order = np.random.default_rng(size).permutation(size)
        masks[key] = (order < round(DENSITIES[key] * size)).reshape(shape)
    return masks


def connections(algorithm, masks, step):
    """Make up weights, and gradients with many ties and zeros."""
    random = seeds.generator("contract", step)
    layers = {}
    for key, mask in masks.items():
        weights = random.normal(size=mask.shape).astype(np.float32)
        # An active weight that happens to be zero is still active.
        weights[random.random(mask.shape) < 0.3] = 0.0
        if algorithm.zero_inactive:
            weights = np.where(mask, weights, np.float32(0.0))
        extra = {
            name: random.integers(-3, 4, size=mask.shape).astype(np.float32)
            for name, needed in (
                ("gradients", algorithm.needs_gradients),
                ("momentum", algorithm.needs_momentum),
                ("curvature", algorithm.needs_curvature),
            )
            if needed
        }
        layers[key] = LayerState(weights, mask, **extra)
    return layers


def begin(algorithm):
    layers = connections(algorithm, masks_at_start(), 0)
    state, masks = algorithm.init(layers), masks_at_start()
    if algorithm.at_start:
        masks, state = algorithm.initial_masks(layers, state, seed=7)
    return masks, state


def run(algorithm, masks, state, first=0, last=40, length=HORIZON):
    """Run the events after step `first`; yield what each one did."""
    period = algorithm.period(length)
    step = first
    while period and (step := period.next(step)) is not None and step <= last:
        event = Event(step, period.number(step), period, length)
        layers = connections(algorithm, masks, step)
        seed = seeds.fold_in(3, step)
        layers = algorithm.perturb(layers, state, event=event, seed=seed)
        new, state = algorithm.update(layers, state, event=event, seed=seed)
        values = algorithm.values(layers, new, state, seed=seed)
        yield layers, new, state, values
        masks = new


def saved(state):
    """Write a state as checkpoints do, and read it."""
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    return dict(np.load(file, allow_pickle=False))


def declared(**values):
    """Return the algorithms whose declarations have these values."""
    return [
        pytest.param(algorithm, id=name)
        for name, algorithm in (
            (name, build(name)) for name in reallocation.names()
        )
        if all(
            getattr(algorithm, key) == value for key, value in values.items()
        )
    ]


@pytest.fixture(params=reallocation.names())
def algorithm(request):
    return build(request.param)


def test_masks_are_boolean_of_the_shape_of_the_kernels(algorithm):
    masks, state = begin(algorithm)
    for step in [(None, masks, state, {}), *run(algorithm, masks, state)]:
        assert list(step[1]) == list(SHAPES)
        for key, mask in step[1].items():
            assert mask.dtype == bool
            assert mask.shape == SHAPES[key]


@pytest.mark.parametrize("algorithm", declared(keeps_count=True))
def test_counts_are_exact_after_two_hundred_events(algorithm):
    masks, state = begin(algorithm)
    total = sum(mask.sum() for mask in masks_at_start().values())
    assert sum(mask.sum() for mask in masks.values()) == total
    for _, new, _, _ in run(algorithm, masks, state, last=200):
        assert sum(mask.sum() for mask in new.values()) == total


TIMES = {
    "start": (0, 1, "1ep", 0.5),
    "end": (1, 0.5, 1.0),
    "every": (1, 7, "1ep"),
    "iterations": (None, 1, 3),
    "published": (False, True),
}


@pytest.mark.parametrize("name", reallocation.names())
@pytest.mark.parametrize("steps", [1, 10, 30])
def test_what_was_asked_for_comes_or_is_said_or_refused(name, steps):
    kind, length = reallocation.get(name), TrainingLength(steps, 10)
    fields = {field.name for field in dataclasses.fields(kind)}
    target = {"sparsity": 0.9} if "sparsity" in fields else {}
    times = {key: TIMES[key] for key in TIMES if key in fields}
    ends = 0
    for values in itertools.product(*times.values()):
        options = dict(zip(times, values, strict=True))
        try:
            algorithm = kind(**target, **options)
            algorithm.period(length)
        except InputError:
            continue
        masks, state = begin(algorithm)
        done = [*run(algorithm, masks, state, last=steps, length=length)]
        *_, (_, masks, state, _) = [(None, masks, state, None), *done]
        counts = {key: int(mask.sum()) for key, mask in masks.items()}
        missed = False
        if target:
            rest = {k: max(mask.size / 10, 1) for k, mask in masks.items()}
            missed = any(counts[key] > rest[key] + 0.5 for key in counts)
        elif algorithm.keeps_count:
            before = sum(mask.sum() for mask in masks_at_start().values())
            assert sum(counts.values()) == before
        if times_asked := options.get("iterations"):
            missed |= len(done) + (options["start"] == 0) < times_asked
        said = algorithm.unreached(masks, state, len(done))
        assert bool(said) == missed, options
        ends += not missed
    assert ends


def test_no_layer_is_emptied(algorithm):
    masks, state = begin(algorithm)
    for _, new, _, _ in run(algorithm, masks, state):
        assert all(mask.any() for mask in new.values())


def test_full_layers_and_single_weights_stay(algorithm):
    masks, state = begin(algorithm)
    *_, (_, last, _, _) = [(0, masks, 0, 0), *run(algorithm, masks, state)]
    assert last["one"].all()


@pytest.mark.parametrize("algorithm", declared(keeps_count=True))
def test_a_model_without_inactive_weights_stays_full(algorithm):
    full = {key: np.ones(shape, bool) for key, shape in SHAPES.items()}
    layers = connections(algorithm, full, 0)
    state, masks = algorithm.init(layers), full
    if algorithm.at_start:
        masks, state = algorithm.initial_masks(layers, state, seed=7)
    seen = [masks, *(new for _, new, _, _ in run(algorithm, masks, state))]
    assert all(mask.all() for masks in seen for mask in masks.values())


def test_events_follow_every_step_only_where_that_is_declared(algorithm):
    defaults = type(algorithm)()
    period = defaults.period(HORIZON)
    steps = [period.next(step) for step in range(50)] if period else [None]
    assert (steps == list(range(1, 51))) == algorithm.every_step


def test_the_same_seed_gives_the_same_masks(algorithm):
    ends = []
    for _ in range(2):
        masks, state = begin(algorithm)
        ends.append([new for _, new, _, _ in run(algorithm, masks, state)])
    for one, two in zip(*ends, strict=True):
        for key in SHAPES:
            np.testing.assert_array_equal(one[key], two[key])


def test_a_resumed_state_goes_on_to_the_same_masks(algorithm):
    masks, state = begin(algorithm)
    whole = list(run(algorithm, masks, state))
    half = [(None, masks, state, None), *run(algorithm, masks, state, last=17)]
    _, masks, state, _ = half[-1]
    rest = list(run(algorithm, masks, saved(state), first=17))
    for one, two in zip(whole[::-1], rest[::-1], strict=False):
        for key in SHAPES:
            np.testing.assert_array_equal(one[1][key], two[1][key])
        for key, value in one[2].items():
            np.testing.assert_array_equal(value, two[2][key])


def test_a_state_is_a_flat_dict_of_arrays(algorithm):
    masks, state = begin(algorithm)
    seen = [state, *(step[2] for step in run(algorithm, masks, state))]
    for each in seen:
        assert all(isinstance(key, str) for key in each)
        assert list(each) == list(seen[0])
        for key, value in saved(each).items():
            assert value.dtype != object
            assert value.dtype == np.asarray(seen[0][key]).dtype
            assert value.shape == np.shape(seen[0][key])


def test_nothing_given_is_changed(algorithm):
    masks, state = begin(algorithm)
    period = algorithm.period(HORIZON)
    layers = connections(algorithm, masks, 1)
    kept = {
        key: [None if v is None else v.copy() for v in layer]
        for key, layer in layers.items()
    }
    kept_state = {key: np.copy(value) for key, value in state.items()}
    event = Event(1, 0, period, HORIZON)
    noisy = algorithm.perturb(layers, state, event=event, seed=1)
    if period:
        algorithm.update(noisy, state, event=event, seed=1)
    for key, layer in layers.items():
        for before, after in zip(kept[key], layer, strict=True):
            if before is not None:
                np.testing.assert_array_equal(before, after)
    for key, value in state.items():
        np.testing.assert_array_equal(kept_state[key], value)


@pytest.mark.parametrize("algorithm", declared(every_step=False))
def test_what_grows_starts_at_zero_and_what_stays_keeps_its_weight(algorithm):
    masks, state = begin(algorithm)
    for layers, new, _, values in run(algorithm, masks, state):
        for key, value in values.items():
            stays = new[key] & layers[key].mask
            np.testing.assert_array_equal(
                value[stays], layers[key].weights[stays]
            )
            assert not value[new[key] & ~layers[key].mask].any()


def test_values_are_finite_where_they_count(algorithm):
    masks, state = begin(algorithm)
    for _, new, _, values in run(algorithm, masks, state):
        for key, value in values.items():
            assert np.isfinite(value[new[key]]).all()


def test_backward_sets_hold_the_forward_sets(algorithm):
    masks, state = begin(algorithm)
    for _, new, each, _ in run(algorithm, masks, state):
        for key, mask in algorithm.backward(each).items():
            assert not (new[key] & ~mask).any()


def test_metrics_are_numbers(algorithm):
    _, state = begin(algorithm)
    for name, value in algorithm.metrics(state).items():
        assert isinstance(name, str)
        assert isinstance(value, float)


def test_algorithms_are_frozen_and_equal_by_value(algorithm):
    with pytest.raises(dataclasses.FrozenInstanceError):
        algorithm.anything = 1
    assert algorithm == dataclasses.replace(algorithm)


# Of every kind of annotation, what none of them allows.
WRONG = [object(), b"x", "no such text", True, -1, 1.5, math.nan, {}, [1], None]


def fields_of_all():
    for name in reallocation.names():
        for field in dataclasses.fields(reallocation.get(name)):
            yield pytest.param(name, field, id=f"{name}.{field.name}")


@pytest.mark.parametrize("name, field", list(fields_of_all()))
def test_every_field_refuses_what_its_annotation_does_not_allow(name, field):
    kind = reallocation.get(name)
    assert field.type is not Any
    for value in WRONG:
        if allows(field.type, value):
            continue
        with pytest.raises(InputError, match=f"Argument `{field.name}` of"):
            kind(**{field.name: value})
    assert not allows(field.type, WRONG[0])


@pytest.mark.parametrize(
    "spec",
    [
        "rigl(reset_momentum='no')",
        "rigl(skip_update='maybe')",
        "rigl(regrow_dropped=3)",
        "magnitude_pruning(minimum='x', scope='global')",
        "set(grown='redrawn', grown_scale='x')",
        "snfs(minimum=1.5)",
        "dynamic_sparse(pruned=True)",
        "snip(num_batches=True)",
        "static(copy_mask_from=3)",
        "set(every=-1)",
        "set(every='infep')",
        "set(start='nanep')",
        "set(end=1.5)",
        "set(end=True)",
        "set(every={0: 1.5})",
        "set(every={'0ep': 100})",
        "deep_rewiring(temperature={0: True})",
        "magnitude_pruning(schedule=0.5)",
    ],
)
def test_values_of_another_type_are_refused_in_one_line(spec):
    with pytest.raises(InputError) as error:
        reallocation.build(spec)
    assert "\n" not in str(error.value)
    assert "must be" in str(error.value)
    assert "Received: " in str(error.value)
