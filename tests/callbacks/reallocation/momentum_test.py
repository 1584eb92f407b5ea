"""The optimizer forgets connections that move, unless it is told not to."""

import dataclasses

import keras
import numpy as np
import pytest

import cb
from cb.callbacks.slots import slots
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.schedules import PeriodicSchedule
from cb.sparsity.reallocation.base import Algorithm


@dataclasses.dataclass(frozen=True)
class Swap(Algorithm):
    """Swaps active and inactive connections at step two, and at the end."""

    reset_momentum: bool = True
    end: int = 2

    def period(self, training_length):
        return PeriodicSchedule(2, 0, self.end)

    def update(self, layers, state, *, event, seed):
        return {key: ~layer.mask for key, layer in layers.items()}, state


def trained(model, data, algorithm):
    """Train; return weight, mask and velocity, and those at the event."""
    kernel = masked_kernels(model)[0]
    model.optimizer.build(model.trainable_variables)
    ((slot,), *_) = slots(model.optimizer, [kernel.weight])
    at_event = []

    def note(step, changes):
        at_event.append((read(kernel.weight), read(slot.variable)))

    callback = cb.callbacks.Reallocation(algorithm, on_event=note)
    model.fit(data, callbacks=[callback], verbose=0, shuffle=False)
    return read(kernel.weight), read(kernel.mask) != 0, at_event


@pytest.mark.parametrize("reset", [True, False])
def test_dropped_weights_drift_only_with_what_momentum_is_kept(
    reset, build_model, batches, compile_model
):
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    model = compile_model(build_model(), optimizer)
    weights, mask, ((after, velocity),) = trained(
        model, batches(200), Swap(reset_momentum=reset)
    )
    assert not after[~mask].any()
    # The sum of what a decaying velocity moves, 8.1 times itself.
    expected = 0.9**2 / (1 - 0.9) * velocity[~mask]
    assert velocity[~mask].any() == (not reset)
    np.testing.assert_allclose(weights[~mask], expected, rtol=1e-4)


def test_drifted_weights_are_zero_again_after_an_event(
    build_model, batches, compile_model
):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model = compile_model(build_model(), optimizer)
    algorithm = Swap(reset_momentum=False, end=4)
    _, mask, (_, (after, velocity)) = trained(model, batches(4), algorithm)
    # Those that had drifted have grown, at zero, with what is left of it.
    assert not after.any()
    assert velocity[mask].any()


@pytest.mark.parametrize(
    "spec", ["set", "rigl", "dynamic_sparse", "deep_rewiring"]
)
def test_it_is_an_option_of_the_algorithms(spec):
    assert cb.reallocation.build(spec).reset_momentum
    assert not cb.reallocation.build(
        f"{spec}(reset_momentum=False)"
    ).reset_momentum
