"""Penalties by compiled operations have the bits of plain ones."""

import keras
import pytest

import cb
from cb.callbacks.reallocation import step_terms
from tests.callbacks.reallocation.contract_test import bits
from tests.callbacks.reallocation.contract_test import sgd

pytestmark = pytest.mark.filterwarnings("ignore::cb.errors.NotReached")

SPECS = ["n_by_m(pull=0.3)", "top_kast(every=2, penalty=0.01)"]


def train(spec, model, data):
    callback = cb.callbacks.Reallocation(spec)
    logs = model.fit(
        data, epochs=2, verbose=0, shuffle=False, callbacks=[callback]
    ).history
    return bits([*model.variables, *model.optimizer.variables]), logs


@pytest.fixture
def used(monkeypatch):
    """Return the penalties that are fused, as they are found."""
    found = []
    fused = step_terms._fused_squares

    def spy(weight, mask, trains, penalty):
        found.append(penalty)
        return fused(weight, mask, trains, penalty)

    monkeypatch.setattr(step_terms, "_fused_squares", spy)
    return found


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kind", ["plain", "scaled", "float16"])
def test_bits_are_those_of_plain_operations(
    spec, kind, strategy, build_model, batches, compile_model, used, monkeypatch
):
    def make():
        dtype = "mixed_float16" if kind == "float16" else "float32"
        with strategy.scope():
            optimizer = sgd()
            if kind == "scaled":
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer, 48.0)
            return compile_model(build_model(dtype=dtype), optimizer)

    fused = train(spec, make(), batches(5))
    assert used
    monkeypatch.setattr(step_terms, "_fused_squares", step_terms._squares)
    assert train(spec, make(), batches(5)) == fused


def test_what_operations_cannot_do_is_plain(
    build_model, batches, compile_model, used, xla
):
    model = compile_model(build_model(), sgd(), run_eagerly=True)
    train(SPECS[0], model, batches(2))
    model = compile_model(build_model(), sgd(), jit_compile=True)
    train(SPECS[0], model, batches(2))
    assert not used
